/** A local Tollgate for one test file: real edge, real agents, emulated engines, in a folder of its own. */
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
import type { ClientWitness } from '../laws/world.ts';
import { type BookNode, openBooks, worldOf } from './books.ts';
import { JournalKeeper } from './journals.ts';
import { freePorts } from './ports.ts';
import { tailsBy } from './tails.ts';

export { chatBody } from './chat-body.ts';
export { nano } from './witness.ts';

export interface Local {
  readonly stack: Stack;
  readonly stateDir: string;
  /** in the order of the stack's */
  readonly nodes: readonly BookNode[];
  readonly journals: JournalKeeper;
  /** of the engines */
  readonly speed: number;
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
    database: inject('database'),
    ...over,
    settings: { ...SETTINGS, ...over.settings },
  });
  const { nodes: known } = await operatorApi<{ nodes: BookNode[] }>(stack.edge, 'GET', '/nodes');
  const nodes = stack.nodes.map(({ name }) => known.find((node) => node.name === name)!);
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

/**
 * Within `withinMs` holds are settled, D1 is told and receipts are in; then no law of money is broken.
 * @param clients what they saw, when the test kept it
 */
export async function expectLaws(
  local: Local,
  { clients, withinMs = 45_000 }: { clients?: readonly ClientWitness[]; withinMs?: number } = {},
): Promise<void> {
  const { stateDir, nodes, stack, speed, journals } = local;
  const hardware = new Map(stack.nodes.map((node) => [node.name, node.hardware]));
  const broken = () => {
    const tails = tailsBy({ hardware, speed, journals: journals.read() });
    return brokenLaws({ ...worldOf(openBooks(stateDir, nodes), nodes, tails), clients });
  };
  // looked at once more it could be a moment later: a receipt may have come and be on its way to D1
  let found = broken();
  const agree = async () => {
    found = broken();
    return found.length === 0;
  };
  await eventually(agree, withinMs).catch(() => undefined);
  expect(found).toEqual([]);
}

/** Sequences that an engine works on right now. */
export async function runningAt({ engine }: LocalNode): Promise<number> {
  const response = await fetch(`${engine.ready}/v1/loads?include=core`);
  const { loads } = (await response.json()) as { loads: { num_running_reqs: number }[] };
  return loads.reduce((sum, load) => sum + load.num_running_reqs, 0);
}

/** Sets a fault at every engine, so that no node can take over; null takes all faults away. */
export async function everyEngine({ stack }: Local, fault: object | null): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const init =
    fault === null ? { method: 'DELETE' } : { method: 'POST', headers, body: JSON.stringify(fault) };
  for (const { engine } of stack.nodes) {
    const response = await fetch(`${engine.ready}/emulator/faults`, init);
    expect(response.ok).toBe(true);
  }
}

/** Does `work` while no engine says a word for `silentMs`: long enough for the edge to say that it still waits. */
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
