/**
 * Schemas of the protocol between edge and agents. Both sides import this file and parse with it everything they receive,
 * so a message that one side does not understand fails as soon as it arrives.
 *
 * Edge → agent   `POST /v1/generate`, `/v1/extend` and `/v1/abort`, with a request token (EdDSA, keys at the edge's JWKS)
 *                and the request's claims in a header beside it.
 * Agent → edge   `POST /fleet/enrol`, once, with a join token; `POST /fleet/heartbeat` and the WebSocket `/fleet/pulse` with a
 *                node token.
 * Recipes → edge `GET /fleet/model`, with a join token, which stays unused.
 */
import * as z from 'zod';
import { AnswerFormat, Budget } from './answer-format.ts';
import {
  FINISH_REASONS,
  HARDWARE,
  LOAD_MAX,
  NODE_ERROR_CODES,
  RECEIPTS_PER_HEARTBEAT_MAX,
  TOKENS_MAX,
} from './constants.ts';
import { ModelProfile, TemplateVariable } from './model-profile.ts';

export * from './answer-format.ts';
export * from './constants.ts';

export const Hardware = z.enum(HARDWARE);
export type Hardware = z.infer<typeof Hardware>;

const tokens = z.int().min(0).max(TOKENS_MAX);

/** Token counts as the agent reports them: cumulative over the request and summed over its choices. */
export const NodeUsage = z
  .object({
    prompt_tokens: tokens,
    /** The part of `prompt_tokens` found in the prefix cache. */
    cached_tokens: tokens,
    /** Includes `reasoning_tokens`. */
    completion_tokens: tokens,
    reasoning_tokens: tokens,
  })
  .refine((usage) => usage.cached_tokens <= usage.prompt_tokens, 'cached_tokens exceeds prompt_tokens')
  .refine(
    (usage) => usage.reasoning_tokens <= usage.completion_tokens,
    'reasoning_tokens exceeds completion_tokens',
  );
export type NodeUsage = z.infer<typeof NodeUsage>;

/** An opaque string by which the edge admitted the request. The node repeats it in the receipt. */
const Ticket = z.string().max(64);

/** Claims of a request, in the header beside its token. */
export const RequestClaims = z.object({
  /** Account id. */
  sub: z.string(),
  /** Request id. It is also the engine's `rid`, by which a request of a single choice is aborted. */
  jti: z.string(),
  model: z.string(),
  /** The most completion tokens that the agent lets the engine generate, summed over choices. */
  max_tokens: z.int().positive(),
  /** The longest prompt that the model takes, as published. A longer one is refused before the engine works on it. */
  context_tokens: z.int().positive().optional(),
  /** The most tokens that the prompt's bytes can be: below `context_tokens` it need not be counted first. */
  prompt_tokens_max: z.int().positive().optional(),
  ticket: Ticket.optional(),
});
export type RequestClaims = z.infer<typeof RequestClaims>;

/** The answer to a count: the tokens that the prompt of a request has, as the engine makes them when it serves it. */
export const CountAnswer = z.object({ prompt_tokens: z.int().min(0).max(TOKENS_MAX) });
export type CountAnswer = z.infer<typeof CountAnswer>;

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
    /** The thought before the content, where the model wants to see its earlier thoughts. */
    reasoning_content: z.string().optional(),
    name: z.string().optional(),
    tool_calls: z.array(ToolCall).optional(),
  }),
  z.object({ role: z.literal('tool'), content: z.string(), tool_call_id: z.string() }),
  /**
   * The beginning of the answer, with which the model goes on. It is the last message, behind one of another role than the
   * assistant's. Agents that do not know it refuse the request: their engine would take the text for a user's.
   */
  z.object({
    role: z.literal('answer_prefix'),
    /** Null: the thought is not over, and goes on. Else the thought is closed, and the text never empty. */
    content: z.string().nullable(),
    /** The thought before the content, or its beginning; absent: there is none. */
    reasoning_content: z.string().optional(),
  }),
]);
export type AnswerPrefix = Extract<z.infer<typeof ChatMessage>, { role: 'answer_prefix' }>;
export type ChatMessage = z.infer<typeof ChatMessage>;

/** OpenAI's documentation names no bound; its own examples have a handful, and lists of banned words a few hundred. */
const LOGIT_BIASES_MAX = 1_024;

const Tool = z.object({
  type: z.literal('function'),
  function: z.object({
    name: z.string(),
    description: z.string().nullish(),
    /** A JSON Schema. */
    parameters: z.record(z.string(), z.unknown()).nullish(),
    strict: z.boolean().nullish(),
  }),
});

/** No vocabulary has ten million tokens. The engine makes a row of the whole vocabulary of it, however few it names. */
export const LogitBias = z
  .record(
    z.string().regex(/^\d{1,7}$/, 'is no token id: one is a whole number'),
    z.number().min(-100).max(100),
  )
  .refine(
    (bias) => Object.keys(bias).length <= LOGIT_BIASES_MAX,
    `must have at most ${LOGIT_BIASES_MAX} token ids`,
  );

/**
 * Body of `POST /v1/generate`. It is an allow-list: zod strips every other field on both sides, so no other field reaches
 * an engine. Model, request id and account come from the request's claims.
 */
export const GenerateRequest = z.object({
  /** A conversation. Either this or `prompt` is set. */
  messages: z.array(ChatMessage).min(1).optional(),
  /** A text to continue, without a chat template. */
  prompt: z.string().min(1).optional(),
  max_tokens: z.int().positive(),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().gt(0).max(1).optional(),
  presence_penalty: z.number().min(-2).max(2).optional(),
  frequency_penalty: z.number().min(-2).max(2).optional(),
  top_k: z.int().min(1).optional(),
  min_p: z.number().min(0).max(1).optional(),
  repetition_penalty: z.number().gt(0).max(2).optional(),
  /** By token id of the model's own vocabulary, what is added to the token's logit before each token is drawn. */
  logit_bias: LogitBias.optional(),
  /** The fewest tokens of each choice, thought included; at most `max_tokens`. */
  min_tokens: z.int().min(1).optional(),
  stop: z.array(z.string()).max(16).optional(),
  n: z.int().min(1).max(16).optional(),
  seed: z.int().optional(),
  logprobs: z.boolean().optional(),
  top_logprobs: z.int().min(0).max(20).optional(),
  tools: z.array(Tool).max(128).optional(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.object({ type: z.literal('function'), function: z.object({ name: z.string() }) }),
    ])
    .optional(),
  /** False: each choice ends behind its first call. Older agents do not know it; the edge then drops further calls. */
  parallel_tool_calls: z.literal(false).optional(),
  response_format: z.record(z.string(), z.unknown()).optional(),
  /** Variables of the chat template with their values, such as the one that switches thinking on. */
  template_variables: z.record(TemplateVariable, z.union([z.boolean(), z.string().max(32)])).optional(),
  /** The most tokens of each choice's thought. At the budget the thought is closed and the answer begins. */
  thinking_budget: z.int().positive().max(TOKENS_MAX).optional(),
  /** The budget only stands for an effort: where it cannot be kept it is left out, and the request is not refused. */
  thinking_budget_hint: z.literal(true).optional(),
  /** The engine only reads the prompt, into its prefix cache. The answer is empty and ends with `length`. */
  prompt_only: z.literal(true).optional(),
  /** Background work: it has the lowest priority and gives way to interactive requests. */
  background: z.boolean().optional(),
  /** HMAC of the account, 32 hex digits. It keeps one account from reusing another's prefix cache. */
  cache_salt: z.string().length(32),
  /** How the client is to have its answer. Absent: the answer is chunks. */
  answer: AnswerFormat.optional(),
  /** With `answer`: what the answer may cost. Absent: all is paid for. */
  budget: Budget.optional(),
});
export type GenerateRequest = z.infer<typeof GenerateRequest>;

const ToolCallDelta = z.object({
  index: z.int().min(0),
  id: z.string().optional(),
  type: z.literal('function').optional(),
  function: z.object({ name: z.string().optional(), arguments: z.string().optional() }),
});

/**
 * One `data:` event of a `/v1/generate` answer (`text/event-stream`, 200) to a request without `answer`; gpu-pool/answers/marks.ts
 * describes the answer to one with it, which has the header `tollgate-answer`. Every chunk carries usage. The stream ends with
 * `data: [DONE]`; without it the answer is incomplete. `choices` may be empty in a last chunk that only reports usage, for
 * example after an abort.
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
      /** With `finish_reason: "stop"`: the one of the request's `stop` texts that ended it. */
      stop_sequence: z.string().optional(),
      logprobs: z.unknown().optional(),
    }),
  ),
  usage: NodeUsage,
});
export type NodeChunk = z.infer<typeof NodeChunk>;

/** JSON body of an error response, and the `data:` of an error event, after which the stream ends without `[DONE]`. */
export const NodeError = z.object({
  error: z.object({
    code: z.enum(NODE_ERROR_CODES),
    message: z.string(),
    /**
     * With `bad_request`: the prompt as the engine counts it is longer than `context_tokens`. With `engine_failed`: prompts
     * of `prompt_tokens` are sold, and the engine takes none of more than `context_tokens`.
     */
    context: z.object({ prompt_tokens: tokens, context_tokens: tokens }).optional(),
  }),
});
export type NodeError = z.infer<typeof NodeError>;

/** A node's receipt: what it generated for one attempt. The agent journals it until the edge acknowledges it. */
export const Receipt = z.object({
  /** Position in the node's journal. With the node id it identifies the receipt for ever. */
  seq: z.int().min(0),
  request_id: z.string(),
  account_id: z.string(),
  model: z.string(),
  started_at_ms: z.int(),
  ended_at_ms: z.int(),
  ttft_ms: z.int().nullable(),
  /**
   * finished: the engine completed the answer; aborted: the edge ended it, for example after a client disconnect;
   * failed: the engine failed; lost: the agent itself died meanwhile, and usage is the last that it had journalled
   */
  outcome: z.enum(['finished', 'aborted', 'failed', 'lost']),
  usage: NodeUsage,
  /** Tokens that the engine generated past the claim's `max_tokens`; `usage` ends there. Absent: none. */
  overrun_tokens: tokens.optional(),
  /**
   * Tokens of a thought that the engine generated past its budget, where the agent keeps it: the engine stops a moment later.
   * `usage` has none of them, and unlike an overrun they are expected. Absent: none.
   */
  over_budget_tokens: tokens.optional(),
  /** From the request's claims. */
  ticket: Ticket.optional(),
});
export type Receipt = z.infer<typeof Receipt>;

/**
 * A model as the edge sells it. The node's engine has to be started accordingly: recipes are made from it, and the agent
 * checks its engine by it.
 */
export const SoldModel = z.object({
  /** A short hash of the rest. Only the edge makes it; the agent repeats it in its heartbeats. */
  version: z.string().min(1).max(64),
  profile: ModelProfile,
  /** The longest prompt, in tokens. */
  context_tokens: z.int().positive().max(TOKENS_MAX),
  /** The longest answer, in tokens. */
  output_tokens_max: z.int().positive().max(TOKENS_MAX),
});
export type SoldModel = z.infer<typeof SoldModel>;

/** Reply to `GET /fleet/model` with a join token as bearer: what a node has to be set up for. */
export const JoinedModel = z.object({ model: z.string(), hardware: Hardware, sold: SoldModel });
export type JoinedModel = z.infer<typeof JoinedModel>;

const requestCount = z.int().min(0).max(LOAD_MAX.requests);
const tokenCount = z.int().min(0).max(LOAD_MAX.tokens);

/** Load of a node at one instant, summed over the engine's data-parallel ranks. */
export const NodeLoad = z.object({
  running_requests: requestCount,
  waiting_requests: requestCount,
  /** Prompt tokens waiting for prefill. */
  waiting_tokens: tokenCount,
  /** Tokens in the KV cache; `capacity_tokens` is its size. */
  used_tokens: tokenCount,
  capacity_tokens: tokenCount,
  max_running_requests: requestCount,
  /** Requests that may wait before the engine refuses more (`--max-queued-requests`); null: not known. */
  max_queued_requests: requestCount.nullable().default(null),
  /** Output tokens per second, as the engine measures it. */
  generation_tokens_per_second: z.number().min(0).max(LOAD_MAX.tokensPerSecond),
  /** Fraction of prompt tokens found in the prefix cache, 0 to 1. */
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
    /** It runs with deterministic inference, so that a seed repeats an answer. Older agents do not say. */
    deterministic: z.boolean().optional(),
  }),
  load: NodeLoad,
  /** Requests that the agent itself is working on. */
  in_flight: z.int().min(0),
  /** The agent takes no new work, because of SIGTERM or the edge's directive. */
  draining: z.boolean(),
  receipts: z.array(Receipt).max(RECEIPTS_PER_HEARTBEAT_MAX),
  /** Ids (RFC 7638 thumbprints) of the edge's keys that the agent holds. Older agents do not say. */
  edge_keys: z.array(z.string().max(64)).max(16).optional(),
  /** `version` of the SoldModel that the agent holds. Absent: it holds none, or is too old to be sent any. */
  sold_version: z.string().max(64).optional(),
});
export type Heartbeat = z.infer<typeof Heartbeat>;

/** A node's load, which it sends over its pulse where it has changed. */
export const LoadReport = Heartbeat.pick({ load: true, in_flight: true });
export type LoadReport = z.infer<typeof LoadReport>;

export const HeartbeatReply = z.object({
  /**
   * serve: take work; drain: finish running requests and take no new ones;
   * removed: stop, the node is no longer registered
   */
  directive: z.enum(['serve', 'drain', 'removed']),
  /** `seq` of the receipts that the edge has stored; they may leave the journal. */
  acknowledged: z.array(z.int()),
  /** Ids of the keys with which the edge signs, or will: the agent reads those that it does not hold. */
  edge_keys: z.array(z.string()).optional(),
  /**
   * The node may show by a pulse (PULSE_PATH) that it is there and that its last heartbeat holds but for the load, and then
   * sends heartbeats seldom. Absent: it may not, or the edge is too old.
   */
  pulse: z.literal(true).optional(),
  /**
   * A SoldModel, where the agent holds another version of it. It is parsed by itself: one that an agent cannot read must
   * not cost it the rest of the reply.
   */
  sold: z.unknown().optional(),
});
export type HeartbeatReply = z.infer<typeof HeartbeatReply>;

export const EnrolRequest = z.object({
  join_token: z.string().max(4_096),
  /** Address at which the edge reaches the agent: `https://host[:port]`, no path (plain http only on loopback). */
  url: z.url().max(2_048),
  /** Ed25519 public key as a JWK; the private half never leaves the node. */
  public_key: z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string().max(64) }),
  engine: z.object({ version: z.string(), model_path: z.string(), weight_version: z.string() }),
});
export type EnrolRequest = z.infer<typeof EnrolRequest>;

/** Reply to an enrolment: the node's identity, and the model it must serve. Errors use the public API's error envelope. */
export const EnrolReply = z.object({
  node_id: z.string(),
  name: z.string(),
  model: z.string(),
  hardware: Hardware,
  /** `model_path` values that the edge accepts for this model. */
  model_paths: z.array(z.string()),
  /** A SoldModel; an edge of an older version sends none. */
  sold: z.unknown().optional(),
});
export type EnrolReply = z.infer<typeof EnrolReply>;
