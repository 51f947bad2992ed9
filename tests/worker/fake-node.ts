/**
 * A node's agent as far as the edge can tell: it takes requests as the protocol says, answers what the test
 * scripts, and stops when told. One spy on fetch is the network between them; a node that is not on it refuses.
 */
import { env as bindings } from 'cloudflare:workers';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import {
  ABORT_PATH,
  CLAIMS_HEADER,
  EDGE,
  GENERATE_PATH,
  GenerateRequest,
  type NodeChunk,
  type NodeError,
  RequestClaims,
} from '../../gpu-pool/protocol/schemas.ts';
import { newId } from '../../worker/domain/ids.ts';
import type { NodeReport, RegisteredNode } from '../../worker/domain/node.ts';
import { config, type Env } from '../../worker/env.ts';
import { publicJwks } from '../../worker/tokens/edge-keys.ts';
import { QUIET_LOAD } from './fleet/fixtures.ts';

const env = bindings as unknown as Env;

/** One request as the agent has it in hand. */
export interface Asked {
  readonly request: GenerateRequest;
  readonly claims: RequestClaims;
  /** aborted by POST /v1/abort, or when the edge hangs up */
  readonly stop: AbortSignal;
}

/** A chunk or an error is one event; text and bytes go out as they are; an Error cuts the connection. */
export type Step = NodeChunk | NodeError | string | Uint8Array | Error;
type Steps = Iterable<Step> | AsyncIterable<Step>;
export type Script = (asked: Asked) => Response | Promise<Response>;

export const DONE = 'data: [DONE]\n\n';

export class FakeNode {
  readonly registered: RegisteredNode;
  /** what it was asked for, in order */
  readonly asked: Asked[] = [];
  /** request ids that it was told to stop */
  readonly aborts: string[] = [];
  /** faults of the edge against the protocol: a test ends with none */
  readonly complaints: string[] = [];
  script: Script;

  constructor(modelId: string, script: Script | Steps) {
    const id = newId('node', Date.now());
    const url = `https://${id.replace('_', '-').toLowerCase()}.example.com`;
    const named = { id, name: id, modelId, hardware: '8xh200', url };
    this.registered = { ...named, capacity: 1_000, state: 'active', revision: 0 };
    this.script = typeof script === 'function' ? script : () => stream(script);
  }

  get id(): string {
    return this.registered.id;
  }

  /** Makes the node known to the Pool of its model, through a heartbeat like any other. */
  report(change: Partial<NodeReport> = {}) {
    return env.POOL.getByName(this.registered.modelId).heartbeat(this.registered, {
      engineHealthy: true,
      draining: false,
      inFlight: 0,
      load: QUIET_LOAD,
      ...change,
    });
  }

  /** One call from the edge. */
  async serve(url: URL, init: RequestInit): Promise<Response> {
    const claims = await this.#claims(new Headers(init.headers));
    if (claims === null) return refusal(401, 'unauthorized');
    if (init.redirect !== 'manual') this.complaints.push('redirects would be followed');
    if (url.pathname === ABORT_PATH) {
      this.aborts.push(claims.jti);
      this.#stops.get(claims.jti)?.abort();
      return new Response(null, { status: 202 });
    }
    if (url.pathname !== GENERATE_PATH || init.method !== 'POST') this.complaints.push(`asked for ${url}`);
    const body = JSON.parse(String(init.body));
    const request = GenerateRequest.strict().safeParse(body);
    if (!request.success) {
      this.complaints.push(request.error.message);
      return refusal(400, 'bad_request');
    }
    const stop = new AbortController();
    this.#stops.set(claims.jti, stop);
    init.signal?.addEventListener('abort', () => stop.abort());
    const asked = { request: request.data, claims, stop: stop.signal };
    this.asked.push(asked);
    return untilHungUp(this.script(asked), init.signal ?? null, () => stop.abort());
  }

  readonly #stops = new Map<string, AbortController>();

  /** What the edge asks; null when its token is not for this node, not for this model, or not the edge's. */
  async #claims(headers: Headers): Promise<RequestClaims | null> {
    const token = headers.get('authorization')?.match(/^Bearer (.+)$/)?.[1] ?? '';
    try {
      const keys = createLocalJWKSet(await publicJwks(config(env)));
      await jwtVerify(token, keys, { issuer: EDGE, audience: this.id, requiredClaims: ['exp'] });
      const claims = RequestClaims.parse(JSON.parse(headers.get(CLAIMS_HEADER) ?? ''));
      if (claims.model !== this.registered.modelId) throw new Error(`a request for ${claims.model}`);
      return claims;
    } catch (error) {
      this.complaints.push(String(error));
      return null;
    }
  }
}

/** What lies between the edge and its nodes. A call to anyone else is refused like a closed port. */
export class FakeNetwork {
  readonly #nodes = new Map<string, FakeNode>();
  /** every call, in order: node id and path */
  readonly calls: string[] = [];

  constructor() {
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const url = new URL(String(input));
      const node = this.#nodes.get(url.origin);
      if (!node) throw new TypeError(`connection refused: ${url.origin}`);
      this.calls.push(`${node.id} ${url.pathname}`);
      return node.serve(url, init ?? {});
    });
  }

  get nodes(): FakeNode[] {
    return [...this.#nodes.values()];
  }

  /** A node that is up, in its Pool and on the network. */
  async add(modelId: string, script: Script | Steps): Promise<FakeNode> {
    const node = new FakeNode(modelId, script);
    this.#nodes.set(node.registered.url, node);
    await node.report();
    return node;
  }

  /** From now on the node's port is closed. */
  unplug(node: FakeNode): void {
    this.#nodes.delete(node.registered.url);
  }
}

/** A network for each test of a file; a test in which the edge broke the protocol has failed. */
export function freshNetwork(): () => FakeNetwork {
  let network: FakeNetwork;
  beforeEach(() => {
    network = new FakeNetwork();
  });
  afterEach(() => {
    vi.restoreAllMocks();
    expect(network.nodes.flatMap(({ complaints }) => complaints)).toEqual([]);
  });
  return () => network;
}

/** A 200 whose body is these steps. */
export function stream(steps: Steps, headers: Record<string, string> = {}): Response {
  const iterator = (async function* () {
    yield* steps;
  })();
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const { done, value } = await iterator.next();
    if (done) return controller.close();
    if (value instanceof Error) return controller.error(value);
    controller.enqueue(value instanceof Uint8Array ? value : new TextEncoder().encode(frame(value)));
  };
  const body = new ReadableStream<Uint8Array>({ pull }, { highWaterMark: 0 });
  return new Response(body, { headers: { 'content-type': 'text/event-stream', ...headers } });
}

/** The bytes of an event as text. */
export function frame(step: NodeChunk | NodeError | string): string {
  return typeof step === 'string' ? step : `data: ${JSON.stringify(step)}\n\n`;
}

export function refusal(status: number, code: NodeError['error']['code'], headers = {}): Response {
  return Response.json({ error: { code, message: `scripted ${code}` } }, { status, headers });
}

interface Said {
  /** tokens of the prompt, 10 unless told */
  readonly prompt?: number;
  readonly cached?: number;
  /** one token each */
  readonly reasoning?: readonly string[];
  readonly content?: readonly string[];
  readonly finish?: 'stop' | 'length';
}

/** The chunks of an answer, one a token, without its end. */
export function* tokens({
  prompt = 10,
  cached = 0,
  reasoning = [],
  content = [],
}: Said): Generator<NodeChunk> {
  let completion = 0;
  const usage = () => ({
    prompt_tokens: prompt,
    cached_tokens: cached,
    completion_tokens: completion,
    reasoning_tokens: Math.min(completion, reasoning.length),
  });
  for (const [name, words] of [
    ['reasoning_content', reasoning],
    ['content', content],
  ] as const) {
    for (const word of words) {
      completion += 1;
      yield { choices: [{ index: 0, delta: { [name]: word }, finish_reason: null }], usage: usage() };
    }
  }
}

/** A whole answer, as an agent sends it. */
export function* answer(said: Said): Generator<Step> {
  let usage = usageOf(said.prompt ?? 10, 0, said.cached ?? 0);
  for (const chunk of tokens(said)) {
    usage = chunk.usage;
    yield chunk;
  }
  yield { choices: [{ index: 0, delta: {}, finish_reason: said.finish ?? 'stop' }], usage };
  yield DONE;
}

export function usageOf(prompt: number, completion: number, cached = 0): NodeChunk['usage'] {
  return { prompt_tokens: prompt, cached_tokens: cached, completion_tokens: completion, reasoning_tokens: 0 };
}

/** A chunk of text with the usage so far. */
export function said(content: string, usage: NodeChunk['usage']): NodeChunk {
  return { choices: [{ index: 0, delta: { content }, finish_reason: null }], usage };
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A token every few milliseconds until it is told to stop; then, as agents do, the last count and the end. */
export function endless(prompt = 10, everyMs = 2): Script {
  return ({ stop }) => {
    const steps = async function* (): AsyncGenerator<Step> {
      let count = 0;
      for (; !stop.aborted; await wait(everyMs)) {
        count += 1;
        yield said(`${count} `, usageOf(prompt, count));
      }
      yield { choices: [], usage: usageOf(prompt, count) };
      yield DONE;
    };
    return stream(steps());
  };
}

/** As fetch does: an aborted signal ends the wait for the head, and breaks a body that is under way. */
async function untilHungUp(
  answering: Response | Promise<Response>,
  signal: AbortSignal | null,
  onHungUp: () => void,
): Promise<Response> {
  const aborted = new Promise<never>((_, reject) => {
    const hangUp = () => reject(signal?.reason ?? new Error('aborted'));
    if (signal?.aborted) hangUp();
    signal?.addEventListener('abort', hangUp);
  });
  aborted.catch(() => undefined);
  const response = await Promise.race([answering, aborted]);
  if (!response.body) return response;
  const reader = response.body.getReader();
  const source = {
    async pull(controller: ReadableStreamDefaultController<Uint8Array>) {
      const { done, value } = await Promise.race([reader.read(), aborted]);
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel() {
      onHungUp();
      return reader.cancel();
    },
  };
  return new Response(new ReadableStream<Uint8Array>(source, { highWaterMark: 0 }), response);
}
