/**
 * What agent and edge say to each other. Both sides import this file, and each parses what it receives
 * with these schemas, so a change that one side does not understand fails at the door.
 *
 * Edge → agent   `POST /v1/generate`, `POST /v1/abort` with a request token (EdDSA, keys at the edge's JWKS) and what
 *                is asked in a header beside it.
 * Agent → edge   `POST /fleet/enrol` once with a join token; `POST /fleet/heartbeat` with a node token.
 */
import * as z from 'zod';
import {
  FINISH_REASONS,
  HARDWARE,
  LOAD_MAX,
  NODE_ERROR_CODES,
  RECEIPTS_PER_HEARTBEAT_MAX,
  TOKENS_MAX,
} from './constants.ts';

export * from './constants.ts';

export const Hardware = z.enum(HARDWARE);
export type Hardware = z.infer<typeof Hardware>;

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
