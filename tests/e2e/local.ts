/** A local Tollgate for one test file: real edge, real agents, emulated engines, in a folder of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { inject } from 'vitest';
import { type Stack, type StackOptions, startStack } from '../../gpu-pool/local/stack.ts';

export interface Local {
  readonly stack: Stack;
  readonly stateDir: string;
  readonly openai: OpenAI;
  end(): Promise<void>;
}

/** Holds expire soon and receipts are waited for briefly, so that tests of both are short. */
const SETTINGS = { HOLD_LEASE_MS: '4000', RECEIPT_GRACE_MS: '15000', IDLE_DEADLINE_MS: '8000' };

export async function startLocal(over: Partial<StackOptions> = {}): Promise<Local> {
  const stateDir = mkdtempSync(join(tmpdir(), 'tollgate-e2e-'));
  const port = await freePorts(4);
  const stack = await startStack({
    stateDir,
    port,
    nodePort: port + 1,
    speed: 20,
    script: inject('script'),
    ...over,
    settings: { ...SETTINGS, ...over.settings },
  });
  const openai = new OpenAI({ baseURL: `${stack.dev.baseUrl}/v1`, apiKey: stack.dev.apiKey, maxRetries: 0 });
  return {
    stack,
    stateDir,
    openai,
    async end() {
      await stack.stop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** The first of `count` ports in a row that nobody listens on. */
async function freePorts(count: number): Promise<number> {
  for (let first = 20_000 + (process.pid % 20_000); ; first += count) {
    const free = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i)));
    if (free.every(Boolean)) return first;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/** Calls the API as plain HTTP. */
export function api({ stack }: Local, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (!headers.has('authorization')) headers.set('authorization', `Bearer ${stack.dev.apiKey}`);
  if (init.body !== undefined && !headers.has('content-type'))
    headers.set('content-type', 'application/json');
  return fetch(stack.dev.baseUrl + path, { ...init, headers });
}

/** A chat request to R1. Markers in `content` tell the emulated engine how much to say: `[[reasoning=5 answer=5]]`. */
export function chatBody(content: string, over: Record<string, unknown> = {}): string {
  return JSON.stringify({ model: 'deepseek-reasoner', messages: [{ role: 'user', content }], ...over });
}

export interface BalanceInfo {
  total_balance: string;
  granted_balance: string;
  topped_up_balance: string;
  held_balance: string;
}

export async function balance(local: Local): Promise<BalanceInfo> {
  const body = (await (await api(local, '/user/balance')).json()) as { balance_infos: BalanceInfo[] };
  return body.balance_infos[0]!;
}

/** A decimal amount of US dollars as integer nano-USD. */
export function nano(amount: string): number {
  const [whole = '0', fraction = ''] = amount.split('.');
  return Number(whole) * 1e9 + Number(fraction.padEnd(9, '0'));
}

/** Asks again until `probe` gives something or the time is over. */
export async function eventually<T>(
  probe: () => Promise<T | null | undefined | false>,
  withinMs = 15_000,
): Promise<T> {
  for (const endMs = Date.now() + withinMs; ; ) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > endMs) throw new Error(`not seen within ${withinMs} ms: ${probe}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The `data:` of each event of a streamed answer. */
export function eventsOf(text: string): string[] {
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice(6));
}
