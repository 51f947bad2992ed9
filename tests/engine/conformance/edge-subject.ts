/** The engine behind the real agent and the real edge, which are started for the examination, and what they bill. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { bundle, databaseIn, type Edge, migrate, startEdge } from '../../../gpu-pool/local/edge.ts';
import { obtainKey, PortalSession } from '../../../gpu-pool/local/portal-session.ts';
import { parseListening, type StartedProcess, start, stopAll } from '../../../gpu-pool/local/process.ts';
import { operatorApi } from '../../../gpu-pool/local/stack.ts';
import { HARDWARE } from '../../../gpu-pool/protocol/schemas.ts';
import { freePorts } from '../../e2e/ports.ts';
import { type RawAnswer, type RawRequest, rawPost } from '../../e2e/raw-client.ts';
import { readLedgers } from '../../e2e/stored-state.ts';
import type { RequestRow } from '../../laws/world.ts';
import { QUICK_SETTINGS } from '../quick-settings.ts';
import type { Chunk } from './direct-engine.ts';
import type { Subject } from './subject.ts';

export interface EdgeOptions {
  /** Id of a model in the edge's catalogue; default: the shipped one whose weights the engine serves. */
  readonly model?: string | undefined;
  readonly allowExposedEngine?: boolean;
  /** A bundled Worker and an empty, migrated database; default: they are made now. */
  readonly script?: string;
  readonly database?: string;
}

export interface EdgeAnswer {
  readonly status: number;
  readonly answer: Chunk;
}

export interface EdgeSubject {
  readonly modelId: string;
  /** A whole answer. */
  ask(body: object, path?: string, account?: Account): Promise<EdgeAnswer>;
  /** The events of a stream, with the milliseconds at which they came. */
  stream(body: object, path?: string): Promise<{ chunks: Chunk[]; atMs: number[]; done: boolean }>;
  /** Asks as a client that leaves. */
  leave(body: object, path: string, how: Partial<RawRequest>): Promise<RawAnswer>;
  /** Every request that the Wallets have settled, by id. */
  settled(): ReadonlyMap<string, RequestRow>;
  stop(): Promise<void>;
}

export type Account = 'first' | 'second';

const AGENT = fileURLToPath(new URL('../../../gpu-pool/agent/main.ts', import.meta.url));
/** The canary asks for about two thousand tokens, which a busy CPU generates in minutes. */
const CANARY_MS_MAX = 600_000;

/** Starts edge and agent, and waits until the canary has passed. @throws Error that says what did not start */
export async function startEdgeSubject(subject: Subject, options: EdgeOptions): Promise<EdgeSubject> {
  const stateDir = mkdtempSync(join(tmpdir(), 'tollgate-conformance-'));
  const stop = async () => {
    await stopAll();
    rmSync(stateDir, { recursive: true, force: true });
  };
  try {
    const modelId = options.model ?? shippedModelOf(subject);
    const port = await freePorts(2);
    if (options.database === undefined) await migrate(stateDir);
    else cpSync(options.database, databaseIn(stateDir), { recursive: true });
    const script = options.script ?? (await bundle(stateDir));
    const edge = await startEdge({ port, stateDir, script, settings: QUICK_SETTINGS });
    const agent = await startAgent(subject, { edge, stateDir, modelId, port: port + 1, ...options });
    await canaryPassed(edge, agent.ready);
    const keys = { first: await keyOf(edge, 'first'), second: await keyOf(edge, 'second') };
    return subjectOf({ edge, keys, modelId, stateDir, stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

function shippedModelOf({ shipped, facts }: Subject): string {
  if (shipped) return shipped.id;
  throw new Error(
    `No shipped model has the weights ${facts.info.model_path}: name one of the catalogue with --model.`,
  );
}

async function startAgent(
  { engine }: Subject,
  options: { edge: Edge; stateDir: string; modelId: string; port: number; allowExposedEngine?: boolean },
): Promise<StartedProcess<string>> {
  const { edge, stateDir, modelId, port, allowExposedEngine } = options;
  const { url, key, adminKey } = engine.target;
  const join_ = { name: 'examined', model: modelId, hardware: HARDWARE[0] };
  const { token } = await operatorApi<{ token: string }>(edge, 'POST', '/join-tokens', join_);
  return start(
    {
      command: process.execPath,
      args: [
        AGENT,
        ...['--engine', url.origin, '--edge', edge.url, '--state', join(stateDir, 'node')],
        ...['--listen', `127.0.0.1:${port}`, ...(allowExposedEngine ? ['--allow-exposed-engine'] : [])],
      ],
      env: { TOLLGATE_JOIN_TOKEN: token, ENGINE_API_KEY: key, ENGINE_ADMIN_API_KEY: adminKey },
      logFile: join(stateDir, 'agent.log'),
      readyWithinMs: 60_000,
    },
    parseListening,
  );
}

interface RegisteredNode {
  readonly url: string;
  readonly state: string;
  readonly canary: { readonly fault: string | null } | null;
}

async function canaryPassed(edge: Edge, agentUrl: string): Promise<void> {
  for (const endMs = Date.now() + CANARY_MS_MAX; ; await sleep(500)) {
    const { nodes } = await operatorApi<{ nodes: RegisteredNode[] }>(edge, 'GET', '/nodes');
    const node = nodes.find(({ url }) => url === agentUrl);
    if (node?.state === 'active') return;
    if (Date.now() > endMs || node?.canary?.fault)
      throw new Error(`The node did not pass its canary: ${node?.canary?.fault ?? 'no answer in time'}.`);
  }
}

async function keyOf(edge: Edge, name: Account): Promise<string> {
  const session = new PortalSession(edge.url);
  const email = `${name}@tollgate.example`;
  await session.signInOrSignUp({ email, password: `the ${name} of two accounts`, name });
  return obtainKey(session);
}

function subjectOf(running: {
  edge: Edge;
  keys: Record<Account, string>;
  modelId: string;
  stateDir: string;
  stop: () => Promise<void>;
}): EdgeSubject {
  const { edge, keys, modelId, stateDir, stop } = running;
  const headers = (account: Account) => ({ authorization: `Bearer ${keys[account]}` });
  const post = (path: string, body: object, account: Account) =>
    fetch(edge.url + path, {
      method: 'POST',
      headers: { ...headers(account), 'content-type': 'application/json' },
      body: JSON.stringify({ model: modelId, ...body }),
    });
  const [chat] = ['/v1/chat/completions'];
  return {
    modelId,
    async ask(body, path = chat, account = 'first') {
      const response = await post(path, body, account);
      return { status: response.status, answer: (await response.json()) as Chunk };
    },
    async stream(body, path = chat) {
      const startedMs = performance.now();
      const response = await post(
        path,
        { stream: true, stream_options: { include_usage: true }, ...body },
        'first',
      );
      return readEvents(response, startedMs);
    },
    leave: (body, path, how) =>
      rawPost({
        url: edge.url + path,
        headers: headers('first'),
        body: JSON.stringify({ model: modelId, ...body }),
        ...how,
      }),
    settled() {
      const rows = readLedgers(stateDir).accounts.flatMap(({ request = [] }) => request);
      return new Map(rows.filter(({ state }) => state !== 'held').map((row) => [row.request_id, row]));
    },
    stop,
  };
}

async function readEvents(response: Response, startedMs: number) {
  const chunks: Chunk[] = [];
  const atMs: number[] = [];
  const decoder = new TextDecoder();
  let text = '';
  let done = false;
  for await (const bytes of response.body!) {
    text += decoder.decode(bytes, { stream: true });
    const events = text.split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) {
      const data = /^data: (.*)$/s.exec(event)?.[1];
      if (data === undefined) continue;
      if (data === '[DONE]') done = true;
      else {
        chunks.push(JSON.parse(data) as Chunk);
        atMs.push(performance.now() - startedMs);
      }
    }
  }
  return { chunks, atMs, done };
}
