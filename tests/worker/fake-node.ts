/**
 * A fake node agent that the edge cannot tell from a real one: it takes requests by the protocol, answers what the test
 * scripts, and stops on an abort. A spy on fetch is the network; a call to any other address fails as refused.
 */
import { env as bindings } from 'cloudflare:workers';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import {
  ABORT_PATH,
  CLAIMS_HEADER,
  EDGE,
  EXTEND_PATH,
  Extension,
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
import { FakeReady } from './fake-ready.ts';
import { QUIET_LOAD } from './fleet/fixtures.ts';
import { nativeBody } from './native-body.ts';

const env = bindings as unknown as Env;

/** A request as the agent received it. */
export interface ReceivedRequest {
  readonly request: GenerateRequest;
  readonly claims: RequestClaims;
  /** Aborted by POST /v1/abort, or when the edge closes the connection. */
  readonly stop: AbortSignal;
}

/**
 * One step of an answer. A chunk or an error is one event; text and bytes are sent as they are; an Error cuts the
 * connection.
 */
export type Step = NodeChunk | NodeError | string | Uint8Array | Error;
type Steps = Iterable<Step> | AsyncIterable<Step>;
export type Script = (received: ReceivedRequest) => Response | Promise<Response>;

export const DONE = 'data: [DONE]\n\n';

export class FakeNode {
  readonly registered: RegisteredNode;
  /** The generation requests it received, in order. */
  readonly received: ReceivedRequest[] = [];
  /** Ids of the requests that the edge aborted, in order. */
  readonly aborts: string[] = [];
  /** The edge's violations of the protocol: a test must end with none. */
  readonly violations: string[] = [];
  /** The amounts that the edge has said running requests may cost, in order. */
  readonly extensions: { readonly requestId: string; readonly heldNanoUsd: number }[] = [];
  script: Script;
  /** As agents did before they wrote the client's dialect: it answers with chunks, and knows no extensions. */
  isOld = false;
  #change: Partial<NodeReport> = {};

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
    this.#change = change;
    return this.beat();
  }

  /** Reports again what was last reported, as an agent does: a node that is silent for some seconds serves nobody. */
  beat() {
    return env.POOL.getByName(this.registered.modelId).heartbeat(this.registered, {
      engineHealthy: true,
      draining: false,
      inFlight: 0,
      load: QUIET_LOAD,
      ...this.#change,
    });
  }

  /** Handles one call from the edge. */
  async serve(url: URL, init: RequestInit): Promise<Response> {
    if (url.pathname === '/healthz') return Response.json({ ok: true });
    const claims = await this.#claims(new Headers(init.headers));
    if (claims === null) return nodeError(401, 'unauthorized');
    if (init.redirect !== 'manual') this.violations.push('redirects would be followed');
    if (url.pathname === ABORT_PATH) {
      this.aborts.push(claims.jti);
      this.#stops.get(claims.jti)?.abort();
      return new Response(null, { status: 202 });
    }
    if (url.pathname === EXTEND_PATH && !this.isOld) return this.#extend(claims, init);
    if (url.pathname !== GENERATE_PATH || init.method !== 'POST')
      this.violations.push(`unexpected call: ${url}`);
    const body = JSON.parse(String(init.body));
    const request = GenerateRequest.strict().safeParse(body);
    if (!request.success) {
      this.violations.push(request.error.message);
      return nodeError(400, 'bad_request');
    }
    const stop = new AbortController();
    this.#stops.set(claims.jti, stop);
    init.signal?.addEventListener('abort', () => stop.abort());
    const received = { request: request.data, claims, stop: stop.signal };
    this.received.push(received);
    return untilDisconnected(this.#answer(received), init.signal ?? null, () => stop.abort());
  }

  /** The script's answer, in the client's dialect if the edge asks for that. */
  async #answer(received: ReceivedRequest): Promise<Response> {
    const { request, claims, stop } = received;
    if (request.answer === undefined || this.isOld) return this.script(received);
    const ready = new FakeReady(request, stop);
    this.#ready.set(claims.jti, ready);
    return ready.respond(await this.script(received));
  }

  #extend({ jti }: RequestClaims, { body }: RequestInit): Response {
    const { held_nano_usd: heldNanoUsd } = Extension.parse(JSON.parse(String(body)));
    this.extensions.push({ requestId: jti, heldNanoUsd });
    const ready = this.#ready.get(jti);
    if (ready === undefined) return new Response(null, { status: 404 });
    return Response.json({ held_nano_usd: ready.extend(heldNanoUsd) });
  }

  readonly #ready = new Map<string, FakeReady>();

  readonly #stops = new Map<string, AbortController>();

  /** The claims of a call; null when its token is not the edge's, or not for this node and model. */
  async #claims(headers: Headers): Promise<RequestClaims | null> {
    const token = headers.get('authorization')?.match(/^Bearer (.+)$/)?.[1] ?? '';
    try {
      const keys = createLocalJWKSet(await publicJwks(config(env)));
      await jwtVerify(token, keys, { issuer: EDGE, audience: this.id, requiredClaims: ['exp'] });
      const claims = RequestClaims.parse(JSON.parse(headers.get(CLAIMS_HEADER) ?? ''));
      if (claims.model !== this.registered.modelId) throw new Error(`a request for ${claims.model}`);
      return claims;
    } catch (error) {
      this.violations.push(String(error));
      return null;
    }
  }
}

/** The network between the edge and its nodes. A call to any other address is refused like a closed port. */
export class FakeNetwork {
  readonly #nodes = new Map<string, FakeNode>();
  /** Every call, in order, as node id and path. */
  readonly calls: string[] = [];

  constructor() {
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const url = new URL(String(input));
      const node = this.#nodes.get(url.origin);
      if (!node) throw new TypeError(`connection refused: ${url.origin}`);
      // The Pool asks an agent whether it lives when a request failed there; that is no part of any request.
      if (url.pathname !== '/healthz') this.calls.push(`${node.id} ${url.pathname}`);
      return node.serve(url, init ?? {});
    });
  }

  get nodes(): FakeNode[] {
    return [...this.#nodes.values()];
  }

  /** Adds a node that is healthy, known to its Pool and on the network. */
  async add(modelId: string, script: Script | Steps): Promise<FakeNode> {
    const node = new FakeNode(modelId, script);
    this.#nodes.set(node.registered.url, node);
    await node.report();
    return node;
  }

  #beats = true;

  /** Has every node report again. */
  async beat(): Promise<void> {
    if (this.#beats) await Promise.all(this.nodes.map((node) => node.beat()));
  }

  /** From now on nodes report only when a test has them do so. */
  stopBeats(): void {
    this.#beats = false;
  }

  /** Closes the node's port. */
  unplug(node: FakeNode): void {
    this.#nodes.delete(node.registered.url);
  }
}

/** The real ones, which a test that stops the clock does not replace. */
const { setInterval, clearInterval } = globalThis;
/** Well below the age at which a node counts as silent, so that a test may last as long as a busy machine needs. */
const BEAT_MS = 2_000;

/** A new network for each test of a file. A test fails if the edge violated the protocol in it. */
export function freshNetwork(): () => FakeNetwork {
  let network: FakeNetwork;
  let beating: ReturnType<typeof setInterval>;
  let lastBeat: Promise<void>;
  beforeEach(() => {
    const fresh = new FakeNetwork();
    network = fresh;
    lastBeat = Promise.resolve();
    beating = setInterval(() => {
      lastBeat = lastBeat.then(() => fresh.beat());
    }, BEAT_MS);
  });
  afterEach(async () => {
    clearInterval(beating);
    await lastBeat;
    vi.restoreAllMocks();
    expect(network.nodes.flatMap(({ violations }) => violations)).toEqual([]);
  });
  return () => network;
}

/** A response with status 200 whose body is these steps. */
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

export function nodeError(status: number, code: NodeError['error']['code'], headers = {}): Response {
  return Response.json({ error: { code, message: `scripted ${code}` } }, { status, headers });
}

interface AnswerSpec {
  /** Tokens of the prompt; 10 when absent. */
  readonly prompt?: number;
  readonly cached?: number;
  /** Texts of one token each. */
  readonly reasoning?: readonly string[];
  readonly content?: readonly string[];
  readonly finish?: 'stop' | 'length';
}

/** The chunks of an answer, one for each token, without its end. */
export function* tokens({
  prompt = 10,
  cached = 0,
  reasoning = [],
  content = [],
}: AnswerSpec): Generator<NodeChunk> {
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
export function* answer(spec: AnswerSpec): Generator<Step> {
  let usage = usageOf(spec.prompt ?? 10, 0, spec.cached ?? 0);
  for (const chunk of tokens(spec)) {
    usage = chunk.usage;
    yield chunk;
  }
  yield { choices: [{ index: 0, delta: {}, finish_reason: spec.finish ?? 'stop' }], usage };
  yield DONE;
}

export function usageOf(prompt: number, completion: number, cached = 0): NodeChunk['usage'] {
  return { prompt_tokens: prompt, cached_tokens: cached, completion_tokens: completion, reasoning_tokens: 0 };
}

/** A chunk of text with the usage so far. */
export function textChunk(content: string, usage: NodeChunk['usage']): NodeChunk {
  return { choices: [{ index: 0, delta: { content }, finish_reason: null }], usage };
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * A script that sends a token every few milliseconds until it is aborted; then, as agents do, the last count and the
 * end.
 */
export function endless(prompt = 10, everyMs = 2): Script {
  return ({ stop }) => {
    const steps = async function* (): AsyncGenerator<Step> {
      let count = 0;
      for (; !stop.aborted; await wait(everyMs)) {
        count += 1;
        yield textChunk(`${count} `, usageOf(prompt, count));
      }
      yield { choices: [], usage: usageOf(prompt, count) };
      yield DONE;
    };
    return stream(steps());
  };
}

/**
 * The response as fetch gives it: its body is the runtime's own, and an abort ends the wait for the response and breaks a body
 * that is being read.
 */
async function untilDisconnected(
  answering: Response | Promise<Response>,
  signal: AbortSignal | null,
  onDisconnected: () => void,
): Promise<Response> {
  const aborted = new Promise<never>((_, reject) => {
    const disconnect = () => reject(signal?.reason ?? new Error('aborted'));
    if (signal?.aborted) disconnect();
    signal?.addEventListener('abort', disconnect);
  });
  aborted.catch(() => undefined);
  const response = await Promise.race([answering, aborted]);
  if (!response.body) return response;
  const reader = response.body.getReader();
  const next = async () => {
    const { done, value } = await Promise.race([reader.read(), aborted]);
    return done ? null : value;
  };
  const cancel = () => {
    onDisconnected();
    reader.cancel().catch(() => undefined);
  };
  return new Response(nativeBody(next, cancel), response);
}
