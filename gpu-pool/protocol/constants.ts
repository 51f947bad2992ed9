/**
 * Constants of the protocol between edge and nodes: paths, headers, names and bounds. They are apart from the schemas
 * (schemas.ts), which take milliseconds to build, so that an isolate of the edge starts without those.
 */

export const GENERATE_PATH = '/v1/generate';
export const ABORT_PATH = '/v1/abort';
export const EXTEND_PATH = '/v1/extend';
export const COUNT_PATH = '/v1/count';
export const ENROL_PATH = '/fleet/enrol';
export const JOINED_MODEL_PATH = '/fleet/model';
export const HEARTBEAT_PATH = '/fleet/heartbeat';
/** Path of a node's pulse: a WebSocket from the agent, by which a node shows between two heartbeats that it is there. */
export const PULSE_PATH = '/fleet/pulse';
export const JWKS_PATH = '/.well-known/jwks.json';

/** Interval of an agent's heartbeats, in milliseconds. */
export const HEARTBEAT_INTERVAL_MS = 2_000;
/**
 * The same while a pulse shows each `HEARTBEAT_INTERVAL_MS` that the node is there, as a multiple of it: half a minute. A
 * heartbeat also comes at once when anything but the load changes, and when the edge calls for one.
 */
export const INTERVALS_PER_PULSED_HEARTBEAT = 15;
/** The agent's sign of life on its pulse, and the answer to it, which the platform gives without running the Pool. */
export const PULSE = 'alive';
export const PULSE_ANSWER = 'heard';
/** The edge's message on a pulse: a heartbeat is wanted now, because the node's row has changed. */
export const HEARTBEAT_CALL = 'heartbeat';
/** Most receipts in one heartbeat: at about 400 bytes each, the body stays under 64 KiB. */
export const RECEIPTS_PER_HEARTBEAT_MAX = 160;
/** `aud` of tokens that agents sign for the edge; `iss` of tokens that the edge signs. */
export const EDGE = 'tollgate-edge';
/** `aud` of a join token. */
export const JOIN_AUDIENCE = 'tollgate-join';

/** `engine.version` of an agent that could not determine it. */
export const VERSION_UNKNOWN = 'unknown';

/**
 * Hardware that a node can have. A `pair` is one node over two hosts, for weights that one host's 8×80 GB cannot hold. An
 * H100 counts as an H800: its memory and, within a host, its speed are the same.
 */
export const HARDWARE = ['8xh800-pair', '8xh800', '8xh200', '8xmi300x'] as const;

/**
 * Tokens of its context that SGLang keeps back: six beside every prompt (tp_worker.py, `max_req_input_len`), and slots
 * for drafted tokens (managers/utils.py, `compute_num_reserved_tokens`).
 */
export const CONTEXT_RESERVE = 64;

/** The longest prompt that an engine with so many tokens for prompt and answer leaves room to answer. */
export function longestPrompt(roomTokens: number): number {
  return roomTokens - CONTEXT_RESERVE - 1;
}

/** Bound on every token count of a request: no real one has more. */
export const TOKENS_MAX = 100_000_000;

/**
 * The header with a request's claims: JSON in ASCII. It is not signed. The token beside it proves that the edge calls this
 * node and no other, and is the same for all requests of a minute; both travel from edge to node over TLS only. A stolen
 * token allows requests to that one node until it expires, and the node counts and reports them. Even then a receipt bills
 * an account only for a request that the edge did not settle itself, and never more than was held.
 */
export const CLAIMS_HEADER = 'tollgate-request';

/** The response header of an answer that is ready for the client (gpu-pool/answers), with its only value; else it is chunks. */
export const ANSWER_HEADER = 'tollgate-answer';
export const ANSWER_READY = '1';

export const FINISH_REASONS = [
  'stop',
  'length',
  'tool_calls',
  'content_filter',
  'insufficient_system_resource',
] as const;
export type FinishReason = (typeof FINISH_REASONS)[number];

/** Error codes of an agent, with the HTTP status of each. */
export const NODE_ERROR_CODES = [
  /** The token is missing, expired, for another node, or signed by another edge (401). */
  'unauthorized',
  /** The body breaks the protocol, or the engine refused it as the caller's mistake (400). */
  'bad_request',
  /** The engine's queue is full, or the agent is draining (503). Another node may serve the request. */
  'overloaded',
  /** The engine cannot be reached, or its answer is malformed (502). Another node may serve the request. */
  'engine_failed',
  /** No first token or no further token came within the deadline (504). Another node may serve the request. */
  'engine_timeout',
] as const;

/** Bounds on reported loads, beyond any real node: a larger figure would be an attempt to distort routing. */
export const LOAD_MAX = { requests: 1_000_000, tokens: 10_000_000_000, tokensPerSecond: 10_000_000 } as const;

/** The load of an engine that is down, or has not reported yet. */
export const NO_LOAD = {
  running_requests: 0,
  waiting_requests: 0,
  waiting_tokens: 0,
  used_tokens: 0,
  capacity_tokens: 0,
  max_running_requests: 0,
  max_queued_requests: null,
  generation_tokens_per_second: 0,
  cache_hit_rate: 0,
};

/** The usage of a request of which nothing has been computed. */
export const NO_USAGE = {
  prompt_tokens: 0,
  cached_tokens: 0,
  completion_tokens: 0,
  reasoning_tokens: 0,
} as const;

/**
 * SGLang's reasoning parsers of models that think between `<think>` and `</think>`. The agent takes their text apart itself,
 * and can have the model go on from a thought or an answer that a client has begun.
 */
export const THINK_TAG_PARSERS = [
  'deepseek-r1',
  'deepseek-v3',
  'qwen3',
  'qwen3-thinking',
  'glm45',
  'kimi_k2',
] as const;

/** @param name a reasoning parser; null: the model has none, and never thinks */
export function hasThinkTags(name: string | null): boolean {
  return name === null || THINK_TAG_PARSERS.some((known) => known === name);
}
