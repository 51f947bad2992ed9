/** A local Tollgate for one test file: a real edge, real agents and emulated engines in a folder of their own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { expect, inject } from 'vitest';
import {
  type LocalNode,
  operatorApi,
  type Stack,
  type StackOptions,
  startStack,
} from '../../gpu-pool/local/stack.ts';
import { brokenLaws } from '../laws/laws.ts';
import type { ClientObservation } from '../laws/world.ts';
import { JournalKeeper } from './journals.ts';
import { freePorts } from './ports.ts';
import { type EnrolledNode, readStoredState, worldOf } from './stored-state.ts';
import { tailTokensBy } from './tail-tokens.ts';

export { chatBody } from './chat-body.ts';
export { nano } from './observed-answer.ts';

export interface Local {
  readonly stack: Stack;
  readonly stateDir: string;
  /** The enrolled nodes in the order of `stack.nodes`. */
  readonly nodes: readonly EnrolledNode[];
  readonly journals: JournalKeeper;
  /** The engines' speed; 1 is real time. */
  readonly speed: number;
  readonly openai: OpenAI;
  end(): Promise<void>;
}

/** Short hold leases and receipt grace, so that tests of their ends are short. */
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
    database: inject('database'),
    ...over,
    settings: { ...SETTINGS, ...over.settings },
  });
  const { nodes: enrolled } = await operatorApi<{ nodes: EnrolledNode[] }>(stack.edge, 'GET', '/nodes');
  const nodes = stack.nodes.map(({ name }) => enrolled.find((node) => node.name === name)!);
  const journals = new JournalKeeper(stateDir, nodes);
  const openai = new OpenAI({ baseURL: `${stack.dev.baseUrl}/v1`, apiKey: stack.dev.apiKey, maxRetries: 0 });
  return {
    stack,
    stateDir,
    nodes,
    journals,
    speed: over.speed ?? 20,
    openai,
    async end() {
      journals.close();
      await stack.stop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** Calls the API as plain HTTP. */
export function api({ stack }: Local, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (!headers.has('authorization')) headers.set('authorization', `Bearer ${stack.dev.apiKey}`);
  if (init.body !== undefined && !headers.has('content-type'))
    headers.set('content-type', 'application/json');
  return fetch(stack.dev.baseUrl + path, { ...init, headers });
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

/** Repeats `probe` until it returns something truthy. @throws Error when it has not within `withinMs` */
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

/**
 * Expects that no law of money is broken once holds are settled, D1 is up to date and receipts have arrived, which must
 * be so within `withinMs`.
 * @param clients what clients observed, when the test recorded it
 */
export async function expectLaws(
  local: Local,
  { clients, withinMs = 45_000 }: { clients?: readonly ClientObservation[]; withinMs?: number } = {},
): Promise<void> {
  const { stateDir, nodes, stack, speed, journals } = local;
  const hardware = new Map(stack.nodes.map((node) => [node.name, node.hardware]));
  const broken = () => {
    const tailTokens = tailTokensBy({ hardware, speed, journals: journals.read() });
    return brokenLaws({ ...worldOf(readStoredState(stateDir, nodes), nodes, tailTokens), clients });
  };
  // a receipt may still be on its way to D1, so the check is repeated
  let found = broken();
  for (const endMs = Date.now() + withinMs; found.length > 0 && Date.now() < endMs; found = broken())
    await new Promise((resolve) => setTimeout(resolve, 100));
  expect(found).toEqual([]);
}

/** The number of sequences that an engine generates right now. */
export async function runningAt({ engine }: LocalNode): Promise<number> {
  const response = await fetch(`${engine.ready}/v1/loads?include=core`);
  const { loads } = (await response.json()) as { loads: { num_running_reqs: number }[] };
  return loads.reduce((sum, load) => sum + load.num_running_reqs, 0);
}

/** Sets a fault at every engine, so that no other node can take over; null removes all faults. */
export async function everyEngine({ stack }: Local, fault: object | null): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const init =
    fault === null ? { method: 'DELETE' } : { method: 'POST', headers, body: JSON.stringify(fault) };
  for (const { engine } of stack.nodes) {
    const response = await fetch(`${engine.ready}/emulator/faults`, init);
    expect(response.ok).toBe(true);
  }
}

/** Does `work` while all engines are stopped for `silentMs`, long enough for the edge to send keep-alives. */
export async function whileSilent<T>({ stack }: Local, silentMs: number, work: () => Promise<T>): Promise<T> {
  for (const { engine } of stack.nodes) engine.signal('SIGSTOP');
  try {
    const done = work();
    done.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, silentMs));
    for (const { engine } of stack.nodes) engine.signal('SIGCONT');
    return await done;
  } finally {
    for (const { engine } of stack.nodes) engine.signal('SIGCONT');
  }
}
