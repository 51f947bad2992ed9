/** Helpers of the agent's tests: an agent between fakes, a client, a real agent process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { type Agent, startAgent } from '../../../gpu-pool/agent/agent.ts';
import type { AgentOptions } from '../../../gpu-pool/agent/options.ts';
import { StartRefused } from '../../../gpu-pool/agent/start-refused.ts';
import { type Emulator, startEmulator } from '../../../gpu-pool/emulator/server.ts';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';
import { NodeChunk, NodeError } from '../../../gpu-pool/protocol/schemas.ts';
import { FakeEdge } from './fake-edge.ts';
import { ScriptedEngine } from './scripted-engine.ts';

/** A test fails when it has waited this long. A shorter wait would let a busy machine decide. */
const HANGS_MS = 60_000;

export const SALT = '0123456789abcdef0123456789abcdef';

export async function tempDir(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tollgate-agent-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

export interface TestSetup {
  edge: FakeEdge;
  engine: ScriptedEngine;
  agent: Agent;
  stateDir: string;
  logs: string[];
}

export async function setUp(options: Partial<AgentOptions> = {}): Promise<TestSetup> {
  const [edge, engine, stateDir] = await Promise.all([FakeEdge.start(), ScriptedEngine.start(), tempDir()]);
  const logs: string[] = [];
  const agent = await startTestAgent({
    engineUrl: engine.url,
    edgeUrl: edge.url,
    stateDir,
    log: (name, fields) => logs.push(JSON.stringify({ name, ...fields })),
    ...options,
  });
  return { edge, engine, agent, stateDir, logs };
}

/** An emulated engine as agents demand one; it is closed after the test. */
export async function startTestEmulator(options: Partial<EmulatorOptions> = {}): Promise<Emulator> {
  const emulator = await startEmulator({
    profile: '8xh200',
    cacheReport: true,
    reasoningParser: 'deepseek-r1',
    maxQueuedRequests: 256,
    priorities: { enabled: true },
    ...options,
  });
  onTestFinished(() => emulator.close());
  return emulator;
}

export async function startTestAgent(
  options: Partial<AgentOptions> & { engineUrl: string; stateDir: string },
) {
  const agent = await startAgent({
    joinToken: 'join-me',
    heartbeatIntervalMs: 50,
    log: () => {},
    ...options,
    // A busy machine meets no deadline that a test has not set for itself.
    deadlines: { firstTokenMs: HANGS_MS, idleMs: HANGS_MS, abortGraceMs: 1_000, ...options.deadlines },
  });
  onTestFinished(() => agent.kill().catch(() => {}));
  return agent;
}

export interface Generated {
  status: number;
  headers: Headers;
  text: string;
  chunks: NodeChunk[];
  error: NodeError['error'] | null;
  done: boolean;
}

export const BODY = {
  messages: [{ role: 'user', content: 'a private prompt' }],
  max_tokens: 100,
  cache_salt: SALT,
};

export async function generate(
  { agent, edge }: { agent: { url: string }; edge: FakeEdge },
  {
    body = BODY as unknown,
    claims = {} as Record<string, unknown>,
    token = undefined as Record<string, string> | undefined,
  } = {},
): Promise<Generated> {
  const response = await post(agent.url, '/v1/generate', token ?? (await edge.sign(claims)), body);
  return read(response);
}

export function post(
  url: string,
  path: string,
  headers: Record<string, string>,
  body: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: signal ?? null,
  });
}

/** Reads an answer to its end; every event must be a NodeChunk, a NodeError, or [DONE] at the end. */
export async function read(response: Response): Promise<Generated> {
  const text = await response.text();
  const { status, headers } = response;
  if (status !== 200) {
    return { status, headers, text, chunks: [], error: NodeError.parse(JSON.parse(text)).error, done: false };
  }
  const events = text.split('\n\n').filter((event) => event !== '');
  const data = events.map((event) => event.replace(/^data: /, ''));
  const done = data.at(-1) === '[DONE]';
  const parsed = data.slice(0, done ? -1 : undefined).map((event) => JSON.parse(event));
  const failed = parsed.at(-1)?.error !== undefined;
  const chunks = (failed ? parsed.slice(0, -1) : parsed).map((chunk) => NodeChunk.strict().parse(chunk));
  return { status, headers, text, chunks, error: failed ? NodeError.parse(parsed.at(-1)).error : null, done };
}

export function textOf(
  chunks: NodeChunk[],
  field: 'content' | 'reasoning_content' = 'content',
  index = 0,
): string {
  return chunks
    .flatMap(({ choices }) => choices.filter((choice) => choice.index === index))
    .map(({ delta }) => delta[field] ?? '')
    .join('');
}

export async function until<T>(
  condition: () => T | undefined | null | false,
  timeoutMs = HANGS_MS,
): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never became true: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The agent's metrics by series, as Prometheus would store them. */
export async function metricsOf({ metricsUrl }: { metricsUrl: string }): Promise<Map<string, number>> {
  const text = await (await fetch(`${metricsUrl}/metrics`)).text();
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

/** Expects a start to be refused, with one sentence for each fault. @returns the error */
export async function expectStartRefused(starting: Promise<unknown>): Promise<StartRefused> {
  const error = await starting.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof StartRefused)) throw new Error(`not refused: ${error}`);
  for (const sentence of error.message.split('\n- ')) expect(sentence).toMatch(/^[^\n]{20,400}[.:]$/);
  return error;
}

export interface AgentProcess {
  child: ChildProcess;
  url: string;
  metricsUrl: string;
  stdout: () => string;
  stderr: () => string;
  exit: Promise<number | null>;
}

/** A real `npm run node` process; resolves when it listens, or has exited. */
export async function spawnAgent(args: string[], env: Record<string, string> = {}): Promise<AgentProcess> {
  const child = spawn(process.execPath, ['gpu-pool/agent/main.ts', ...args], {
    env: { PATH: process.env.PATH ?? '', HOME: tmpdir(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  let exited = false;
  const exit = new Promise<number | null>((resolve) => {
    child.on('close', (code) => {
      exited = true;
      resolve(code);
    });
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  await until(() => /^\{.*\n/.test(stdout) || exited, 10_000);
  const ready = exited ? null : (JSON.parse(stdout) as { listening: string; metrics: string });
  const { listening: url = '', metrics: metricsUrl = '' } = ready ?? {};
  return { child, url, metricsUrl, stdout: () => stdout, stderr: () => stderr, exit };
}
