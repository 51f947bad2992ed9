/**
 * The words of the protocol: paths, headers, names and bounds. An isolate of the edge starts with these; the schemas
 * (schemas.ts) take milliseconds to make, and it makes them when a node is first heard.
 */

export const GENERATE_PATH = '/v1/generate';
export const ABORT_PATH = '/v1/abort';
export const ENROL_PATH = '/fleet/enrol';
export const HEARTBEAT_PATH = '/fleet/heartbeat';
export const JWKS_PATH = '/.well-known/jwks.json';

/** How often an agent reports, in milliseconds. */
export const HEARTBEAT_INTERVAL_MS = 2_000;
/** Receipts carried by one heartbeat at most: at about 400 bytes each its body stays under 64 KiB. */
export const RECEIPTS_PER_HEARTBEAT_MAX = 160;
/** `aud` of tokens that agents sign for the edge; `iss` of tokens that the edge signs. */
export const EDGE = 'tollgate-edge';
/** `aud` of a join token. */
export const JOIN_AUDIENCE = 'tollgate-join';

/** `engine.version` of an agent that could not find it out. */
export const VERSION_UNKNOWN = 'unknown';

export const HARDWARE = ['8xh800-pair', '8xh200', '8xmi300x'] as const;

/** No request has more. */
export const TOKENS_MAX = 100_000_000;

/**
 * The header in which the edge says what a call is about: JSON in ASCII. It is not signed itself. The token beside it
 * proves that the edge asks this node and nobody else, and is the same for all requests of a minute or two; the two travel
 * together, from edge to node over TLS alone. Whoever got hold of a token could ask that one node until it expires; the
 * node counts and reports what it does for them. A receipt bills an account only where the edge itself is silent, and no more
 * than was held.
 */
export const CLAIMS_HEADER = 'tollgate-request';

export const FINISH_REASONS = [
  'stop',
  'length',
  'tool_calls',
  'content_filter',
  'insufficient_system_resource',
] as const;
export type FinishReason = (typeof FINISH_REASONS)[number];

export const NODE_ERROR_CODES = [
  /** token missing, expired, for another node, or signed by another edge (401) */
  'unauthorized',
  /** body outside the protocol, or the engine refused it as the caller's mistake (400) */
  'bad_request',
  /** the engine's queue is full, or the agent is draining (503): try another node */
  'overloaded',
  /** the engine cannot be reached or answered with nonsense (502): try another node */
  'engine_failed',
  /** no first token or no further token within the deadline (504): try another node */
  'engine_timeout',
] as const;

/** More than any node has: what is larger is no count but an attempt to bend everybody's routing. */
export const LOAD_MAX = { requests: 1_000_000, tokens: 10_000_000_000, tokensPerSecond: 10_000_000 } as const;

/** Of an engine that is not there, or not heard of yet. */
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
