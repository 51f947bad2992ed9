/** A client of the engine that keeps everything it receives, on the agent's own HTTP client and event reader. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  callEngine,
  type Engine,
  type EngineAnswer,
  openEngine,
  readSmall,
} from '../../../gpu-pool/agent/engine-client.ts';
import { EngineStream } from '../../../gpu-pool/agent/engine-stream.ts';
import { freshSalt, freshWord, user } from './prompts.ts';

export interface EngineUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
  readonly reasoning_tokens?: number;
}

export interface ToolCall {
  readonly id?: string | null;
  readonly index?: number;
  readonly function?: { readonly name?: string | null; readonly arguments?: string | null };
}

export interface Message {
  readonly role?: string | null;
  readonly content?: string | null;
  readonly reasoning_content?: string | null;
  readonly tool_calls?: readonly ToolCall[] | null;
}

export interface Choice {
  readonly index: number;
  readonly delta?: Message;
  readonly message?: Message;
  readonly text?: string;
  readonly finish_reason?: string | null;
  readonly matched_stop?: string | number | null;
}

/** A chunk of a stream, or a whole answer. */
export interface Chunk {
  readonly id?: string;
  readonly model?: string;
  readonly choices?: readonly Choice[];
  readonly usage?: EngineUsage | null;
  readonly error?: { readonly code?: number };
  readonly object?: string;
  readonly code?: number;
}

export interface Streamed {
  readonly status: number;
  /** From the request to the response's head. */
  readonly headMs: number;
  readonly chunks: readonly Chunk[];
  /** When each chunk arrived, in milliseconds since the request. */
  readonly atMs: readonly number[];
  /** The stream ended with [DONE]. */
  readonly done: boolean;
}

/** A stream that may still run. */
export interface Running {
  readonly streamed: Promise<Streamed>;
  readonly chunks: readonly Chunk[];
  /** Closes the connection, as a client that leaves. */
  leave(): void;
}

export const CHAT_PATH = '/v1/chat/completions';
export const TEXT_PATH = '/v1/completions';
const CALL_MS_MAX = 120_000;

export class DirectEngine {
  readonly target: Engine;
  readonly #model: string;
  readonly #longTokens: number;

  /** `longTokens`: the output of answers that are to go on for long. */
  constructor(target: Engine, { model, longTokens }: { model: string; longTokens: number }) {
    this.target = target;
    this.#model = model;
    this.#longTokens = longTokens;
  }

  /**
   * The body of a request that goes on for long, whatever the weights: the engine is told to ignore the end of the answer. The
   * marker does the same at the emulator, which reads it in prompts.
   */
  endless(over: object = {}): object {
    const text = 'Write the numbers from one to ten thousand in words. [[reasoning=20000 answer=20000]]';
    return {
      messages: user(`${freshWord()} ${text}`),
      max_tokens: this.#longTokens,
      ignore_eos: true,
      cache_salt: freshSalt(),
      ...over,
    };
  }

  /** A short call. @throws Error when nothing answers */
  async call(
    path: string,
    body?: unknown,
    { key = 'api', timeoutMs = CALL_MS_MAX }: { key?: 'api' | 'admin' | 'none'; timeoutMs?: number } = {},
  ): Promise<EngineAnswer> {
    const target = key === 'none' ? { url: this.target.url } : this.target;
    const method = body === undefined ? 'GET' : 'POST';
    const answer = await callEngine(target, { method, path, body, admin: key === 'admin', timeoutMs });
    if ('failure' in answer) throw new Error(`${method} ${path}: ${answer.failure}`);
    return answer;
  }

  /** A whole answer. */
  async whole(body: object, path = CHAT_PATH): Promise<{ status: number; answer: Chunk }> {
    const { status, body: answer } = await this.call(path, { model: this.#model, ...body });
    return { status, answer: (answer ?? {}) as Chunk };
  }

  /** A whole answer that the client may leave before it comes. */
  leavable(body: object): { leave(): void } {
    const controller = new AbortController();
    const call = { method: 'POST', path: CHAT_PATH, body: { model: this.#model, ...body } } as const;
    void openEngine(this.target, { ...call, signal: controller.signal });
    return { leave: () => controller.abort() };
  }

  async stream(body: object, path = CHAT_PATH): Promise<Streamed> {
    return this.start(body, path).streamed;
  }

  /** Begins a stream with continuous usage, as the agent asks for it. */
  start(body: object, path = CHAT_PATH): Running {
    const controller = new AbortController();
    const chunks: Chunk[] = [];
    const options = { include_usage: true, continuous_usage_stats: true };
    const call = {
      method: 'POST',
      path,
      body: { model: this.#model, stream: true, stream_options: options, ...body },
      signal: controller.signal,
    } as const;
    return { chunks, streamed: read(this.target, call, chunks), leave: () => controller.abort() };
  }

  /** The number of tokens and their ids of a chat or a text. */
  async tokenize(body: object): Promise<{ count: number; tokens: number[] }> {
    const { status, body: answer } = await this.call('/tokenize', { model: this.#model, ...body });
    if (status !== 200) throw new Error(`/tokenize returned ${status}`);
    return answer as { count: number; tokens: number[] };
  }

  abort(rid: string): Promise<EngineAnswer> {
    return this.call('/abort_request', { rid }, { key: 'admin' });
  }

  /** Sequences that run and that wait. */
  async load(): Promise<{ running: number; waiting: number }> {
    const { body } = await this.call('/v1/loads?include=core');
    const { loads = [] } = body as { loads?: { num_running_reqs: number; num_waiting_reqs: number }[] };
    return {
      running: loads.reduce((sum, rank) => sum + rank.num_running_reqs, 0),
      waiting: loads.reduce((sum, rank) => sum + rank.num_waiting_reqs, 0),
    };
  }

  /** The engine's counters, summed over their labels. */
  async counters(): Promise<{ prompt: number; cached: number; generated: number }> {
    const text = await (await fetch(new URL('/metrics', this.target.url))).text();
    const total = (name: string) =>
      [...text.matchAll(new RegExp(`^sglang:${name}(?:\\{[^}]*\\})? ([\\d.e+]+)$`, 'gm'))].reduce(
        (sum, [, value]) => sum + Number(value),
        0,
      );
    return {
      prompt: total('prompt_tokens_total'),
      cached: total('cached_tokens_total'),
      generated: total('generation_tokens_total'),
    };
  }

  /** @returns milliseconds until nothing runs or waits; null when that has not come within `withinMs` */
  async idleWithin(withinMs: number): Promise<number | null> {
    const startedMs = performance.now();
    for (;;) {
      const { running, waiting } = await this.load();
      const ms = performance.now() - startedMs;
      if (running + waiting === 0) return ms;
      if (ms > withinMs) return null;
      await sleep(20);
    }
  }
}

async function read(
  target: Engine,
  call: Parameters<typeof openEngine>[1],
  chunks: Chunk[],
): Promise<Streamed> {
  const startedMs = performance.now();
  const response = await openEngine(target, call);
  const headMs = performance.now() - startedMs;
  if ('failure' in response) return { status: 0, headMs, chunks, atMs: [], done: false };
  const status = response.statusCode ?? 0;
  if (status !== 200) {
    chunks.push(((await readSmall(response)) ?? {}) as Chunk);
    return { status, headMs, chunks, atMs: [headMs], done: false };
  }
  const stream = new EngineStream(response);
  const atMs: number[] = [];
  for (;;) {
    const frame = await stream.next(CALL_MS_MAX);
    if (frame.kind !== 'events') return { status, headMs, chunks, atMs, done: frame.kind === 'done' };
    chunks.push(...frame.events.map((event) => JSON.parse(event) as Chunk));
    atMs.push(...frame.events.map(() => performance.now() - startedMs));
  }
}

/** All choices of all chunks, in order of arrival. */
export function choicesOf(chunks: readonly Chunk[], index?: number): Choice[] {
  return chunks
    .flatMap(({ choices }) => choices ?? [])
    .filter((choice) => index === undefined || choice.index === index);
}

/** The text of a stream's choice, from one member of its deltas. */
export function textOf(
  chunks: readonly Chunk[],
  member: 'content' | 'reasoning_content',
  index?: number,
): string {
  return choicesOf(chunks, index)
    .map(({ delta, text }) => delta?.[member] ?? (member === 'content' ? text : undefined) ?? '')
    .join('');
}

export function finishOf(chunks: readonly Chunk[], index?: number): Choice | undefined {
  return choicesOf(chunks, index).findLast(({ finish_reason }) => finish_reason);
}

/** The usage of the last chunk, which has no choices. */
export function totalOf(chunks: readonly Chunk[]): EngineUsage | null {
  const last = chunks.at(-1);
  return last?.choices?.length === 0 ? (last.usage ?? null) : null;
}
