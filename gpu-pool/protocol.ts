/**
 * What agent and edge say to each other. Both sides import this file, and each parses what it receives
 * with these schemas, so a change that one side does not understand fails at the door.
 *
 * Edge → agent   `POST /v1/generate`, `POST /v1/abort` with a request token (EdDSA, keys at the edge's JWKS) and what
 *                is asked in a header beside it.
 * Agent → edge   `POST /fleet/enrol` once with a join token; `POST /fleet/heartbeat` with a node token.
 */
import * as z from 'zod';

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
export const Hardware = z.enum(HARDWARE);
export type Hardware = z.infer<typeof Hardware>;

/** No request has more. */
export const TOKENS_MAX = 100_000_000;
const tokens = z.int().min(0).max(TOKENS_MAX);

/** Counts as the agent reports them: cumulative over the request and summed over its choices. */
export const NodeUsage = z
  .object({
    prompt_tokens: tokens,
    /** part of `prompt_tokens` found in the prefix cache */
    cached_tokens: tokens,
    /** includes `reasoning_tokens` */
    completion_tokens: tokens,
    reasoning_tokens: tokens,
  })
  .refine((usage) => usage.cached_tokens <= usage.prompt_tokens, 'cached_tokens exceeds prompt_tokens')
  .refine(
    (usage) => usage.reasoning_tokens <= usage.completion_tokens,
    'reasoning_tokens exceeds completion_tokens',
  );
export type NodeUsage = z.infer<typeof NodeUsage>;

/** By what the edge admitted a request, in words of its own: the node says it again in the receipt. */
const Ticket = z.string().max(64);

/**
 * The header in which the edge says what a call is about: JSON in ASCII. It is not signed itself. The token beside it
 * proves that the edge asks this node and nobody else, and is the same for all requests of a minute or two; the two travel
 * together, from edge to node over TLS alone. Whoever got hold of a token could ask that one node until it expires; the
 * node counts and reports what it does for them. A receipt bills an account only where the edge itself is silent, and no more
 * than was held.
 */
export const CLAIMS_HEADER = 'tollgate-request';

export const RequestClaims = z.object({
  /** account id */
  sub: z.string(),
  /** request id; also the engine's `rid`, so it has a fixed length (SGLang's abort matches prefixes) */
  jti: z.string(),
  model: z.string(),
  /** the most completion tokens that the agent lets the engine generate, summed over choices */
  max_tokens: z.int().positive(),
  ticket: Ticket.optional(),
});
export type RequestClaims = z.infer<typeof RequestClaims>;

const ToolCall = z.object({
  id: z.string(),
  type: z.literal('function'),
  function: z.object({ name: z.string(), arguments: z.string() }),
});

export const ChatMessage = z.discriminatedUnion('role', [
  z.object({ role: z.literal('system'), content: z.string(), name: z.string().optional() }),
  z.object({ role: z.literal('user'), content: z.string(), name: z.string().optional() }),
  z.object({
    role: z.literal('assistant'),
    content: z.string().nullable(),
    name: z.string().optional(),
    tool_calls: z.array(ToolCall).optional(),
  }),
  z.object({ role: z.literal('tool'), content: z.string(), tool_call_id: z.string() }),
]);
export type ChatMessage = z.infer<typeof ChatMessage>;

/**
 * Body of `POST /v1/generate`: the allow-list. A field that is not named here reaches no engine;
 * zod strips it on both sides. Model, request id and account come from the request's claims.
 */
export const GenerateRequest = z.object({
  /** a conversation, or … */
  messages: z.array(ChatMessage).min(1).optional(),
  /** … a text to go on with, which no chat template is put around; one of the two */
  prompt: z.string().min(1).optional(),
  max_tokens: z.int().positive(),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().gt(0).max(1).optional(),
  presence_penalty: z.number().min(-2).max(2).optional(),
  frequency_penalty: z.number().min(-2).max(2).optional(),
  stop: z.array(z.string()).max(16).optional(),
  n: z.int().min(1).max(16).optional(),
  seed: z.int().optional(),
  logprobs: z.boolean().optional(),
  top_logprobs: z.int().min(0).max(20).optional(),
  tools: z.array(z.record(z.string(), z.unknown())).max(128).optional(),
  tool_choice: z.union([z.string(), z.record(z.string(), z.unknown())]).optional(),
  response_format: z.record(z.string(), z.unknown()).optional(),
  /** work that can wait: it runs where nobody else wants to, and makes room for whoever does */
  background: z.boolean().optional(),
  /** HMAC of the account, 32 hex digits: one tenant never reuses another's prefix cache */
  cache_salt: z.string().length(32),
});
export type GenerateRequest = z.infer<typeof GenerateRequest>;

const ToolCallDelta = z.object({
  index: z.int().min(0),
  id: z.string().optional(),
  type: z.literal('function').optional(),
  function: z.object({ name: z.string().optional(), arguments: z.string().optional() }),
});

export const FINISH_REASONS = [
  'stop',
  'length',
  'tool_calls',
  'content_filter',
  'insufficient_system_resource',
] as const;
export type FinishReason = (typeof FINISH_REASONS)[number];

/**
 * One `data:` event of a `/v1/generate` answer (`text/event-stream`, 200). Every chunk carries usage.
 * The stream ends with `data: [DONE]`; without it the answer is incomplete. `choices` may be empty
 * (a last chunk that only reports usage, for example after an abort).
 */
export const NodeChunk = z.object({
  choices: z.array(
    z.object({
      index: z.int().min(0),
      delta: z.object({
        content: z.string().optional(),
        reasoning_content: z.string().optional(),
        tool_calls: z.array(ToolCallDelta).optional(),
      }),
      finish_reason: z.enum(FINISH_REASONS).nullable(),
      /** with `finish_reason: "stop"`: which of the request's `stop` texts ended it */
      stop_sequence: z.string().optional(),
      logprobs: z.unknown().optional(),
    }),
  ),
  usage: NodeUsage,
});
export type NodeChunk = z.infer<typeof NodeChunk>;

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

/** JSON body of a refusal, and the `data:` of an event after which the stream ends without `[DONE]`. */
export const NodeError = z.object({
  error: z.object({ code: z.enum(NODE_ERROR_CODES), message: z.string() }),
});
export type NodeError = z.infer<typeof NodeError>;

/** What the node says it generated for one attempt. Kept in the agent's journal until the edge acknowledges it. */
export const Receipt = z.object({
  /** place in the node's journal; with the node id it names the receipt for ever */
  seq: z.int().min(0),
  request_id: z.string(),
  account_id: z.string(),
  model: z.string(),
  started_at_ms: z.int(),
  ended_at_ms: z.int(),
  ttft_ms: z.int().nullable(),
  /**
   * finished: the engine ended by itself; aborted: the edge or the client's leaving ended it;
   * failed: the engine broke; lost: the agent itself died meanwhile, usage is the last it had journalled
   */
  outcome: z.enum(['finished', 'aborted', 'failed', 'lost']),
  usage: NodeUsage,
  /** of the request's claims */
  ticket: Ticket.optional(),
});
export type Receipt = z.infer<typeof Receipt>;

/** More than any node has: what is larger is no count but an attempt to bend everybody's routing. */
export const LOAD_MAX = { requests: 1_000_000, tokens: 10_000_000_000, tokensPerSecond: 10_000_000 } as const;
const requestCount = z.int().min(0).max(LOAD_MAX.requests);
const tokenCount = z.int().min(0).max(LOAD_MAX.tokens);

/** How a node is at one instant; summed over the engine's data-parallel ranks. */
export const NodeLoad = z.object({
  running_requests: requestCount,
  waiting_requests: requestCount,
  /** prompt tokens waiting for prefill */
  waiting_tokens: tokenCount,
  /** tokens that fill the KV cache, and its size */
  used_tokens: tokenCount,
  capacity_tokens: tokenCount,
  max_running_requests: requestCount,
  /** requests that may wait before the engine refuses (`--max-queued-requests`); null: not known */
  max_queued_requests: requestCount.nullable().default(null),
  /** output tokens per second, as the engine measures it */
  generation_tokens_per_second: z.number().min(0).max(LOAD_MAX.tokensPerSecond),
  /** share of prompt tokens found in the prefix cache, 0 to 1 */
  cache_hit_rate: z.number().min(0).max(1),
});
export type NodeLoad = z.infer<typeof NodeLoad>;

/** Of an engine that is not there, or not heard of yet. */
export const NO_LOAD: NodeLoad = {
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

export const Heartbeat = z.object({
  sent_at_ms: z.int(),
  agent_version: z.string(),
  engine: z.object({
    healthy: z.boolean(),
    version: z.string(),
    model_path: z.string(),
    weight_version: z.string(),
  }),
  load: NodeLoad,
  /** requests that the agent itself has in hand */
  in_flight: z.int().min(0),
  /** the agent takes no new work (SIGTERM, or the edge's directive) */
  draining: z.boolean(),
  receipts: z.array(Receipt).max(RECEIPTS_PER_HEARTBEAT_MAX),
});
export type Heartbeat = z.infer<typeof Heartbeat>;

export const HeartbeatReply = z.object({
  /** serve: take work; drain: finish what runs, take nothing new; removed: stop, the node is no longer registered */
  directive: z.enum(['serve', 'drain', 'removed']),
  /** `seq` of the receipts that are safe at the edge and may leave the journal */
  acknowledged: z.array(z.int()),
});
export type HeartbeatReply = z.infer<typeof HeartbeatReply>;

export const EnrolRequest = z.object({
  join_token: z.string().max(4_096),
  /** where the edge reaches the agent: `https://host[:port]`, no path (plain http only on loopback) */
  url: z.url().max(2_048),
  /** Ed25519 public key as a JWK; the private half never leaves the node */
  public_key: z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string().max(64) }),
  engine: z.object({ version: z.string(), model_path: z.string(), weight_version: z.string() }),
});
export type EnrolRequest = z.infer<typeof EnrolRequest>;

/** What enrolment gives: who the node is, and what it is to serve. Refusals use the public error envelope. */
export const EnrolReply = z.object({
  node_id: z.string(),
  name: z.string(),
  model: z.string(),
  hardware: Hardware,
  /** `model_path` values that the edge accepts for this model */
  model_paths: z.array(z.string()),
});
export type EnrolReply = z.infer<typeof EnrolReply>;
