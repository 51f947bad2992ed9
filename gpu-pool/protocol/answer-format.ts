/**
 * How a client wants its answer, as the edge tells the agent: plain JSON from which each side makes its part of the
 * formatters (gpu-pool/answers). The agent writes everything but the last events, which have usage and cost.
 */
import * as z from 'zod';

/** The facts about an answer that are known before it begins. */
const AnswerHead = z.object({
  /** `req_` and 26 characters. */
  request_id: z.string().max(64),
  created_at_ms: z.int().min(0),
  model: z.string().max(256),
  /** The revision of the model's weights. */
  revision: z.string().max(256),
  /** Names of the request's fields that had no effect. */
  ignored: z.array(z.string()),
  /** The turn of a stored conversation; absent: nothing is stored, nor has been. */
  turn: z
    .object({
      /** The response that the request continues; null: none. */
      previous_response_id: z.string().nullable(),
      /** The secret part of the response's id; null: the response is not stored. */
      secret: z.string().nullable(),
    })
    .optional(),
});
export type AnswerHead = z.infer<typeof AnswerHead>;

const COMMON = {
  /** Server-sent events; false: one object. */
  stream: z.boolean(),
  head: AnswerHead,
  /** Answers wanted (`n`). */
  choices: z.int().min(1).max(16),
  /** The client does not get the model's thought, for which it pays all the same. */
  exclude_reasoning: z.literal(true).optional(),
  /** Calls of each choice; further ones are dropped. */
  calls_max: z.int().min(1).optional(),
};

/** OpenAI's and DeepSeek's chat completions. */
const ChatFormat = z.object({
  dialect: z.literal('chat'),
  ...COMMON,
  /** Usage comes in a chunk of its own, as OpenAI's does. */
  include_usage: z.literal(true).optional(),
  /** Names of the tools whose input is free-form text. */
  custom_tools: z.array(z.string()).optional(),
  /** The client knows `function_call` and no `tool_calls`. */
  legacy_calls: z.literal(true).optional(),
});
export type ChatFormat = z.infer<typeof ChatFormat>;

/** OpenAI's original completions. */
const CompletionsFormat = z.object({
  dialect: z.literal('completions'),
  ...COMMON,
  include_usage: z.literal(true).optional(),
  /** The text that every choice begins with: the prompt, if it is to be echoed. */
  prefix: z.string().optional(),
});
export type CompletionsFormat = z.infer<typeof CompletionsFormat>;

/** Anthropic's messages. */
const MessagesFormat = z.object({ dialect: z.literal('messages'), ...COMMON });
export type MessagesFormat = z.infer<typeof MessagesFormat>;

/** A tool that the model knows by another name, or as another kind of tool, than the client. */
const ToolForm = z.object({
  /** The name that the model knows. */
  called: z.string(),
  /** `custom`: the input of a call is free-form text instead of JSON. */
  kind: z.enum(['function', 'custom']),
  name: z.string(),
  namespace: z.string().optional(),
});
export type ToolForm = z.infer<typeof ToolForm>;

/** OpenAI's responses. */
const ResponsesFormat = z.object({
  dialect: z.literal('responses'),
  ...COMMON,
  /** The request's fields that the response object repeats, as it has them. */
  repeated: z.object({
    instructions: z.string().nullable(),
    max_output_tokens: z.number().nullable(),
    metadata: z.record(z.string(), z.string()),
    parallel_tool_calls: z.boolean(),
    reasoning: z.object({ effort: z.string().nullable(), summary: z.string().nullable() }),
    temperature: z.number().nullable(),
    text: z.object({ format: z.record(z.string(), z.unknown()) }),
    tool_choice: z.unknown(),
    tools: z.array(z.record(z.string(), z.unknown())),
    top_p: z.number().nullable(),
  }),
  tool_forms: z.array(ToolForm).optional(),
  /**
   * Events carry the thought as `reasoning_text`, too. Every client reads the summary; some read both and would show the
   * thought twice, and these ask for a summary (Roo Code, Pi, opencode). The finished item has both in any case.
   */
  streams_thought: z.literal(true).optional(),
  /** Reasoning items have the thought once more, encoded, for clients that send back nothing else of it. */
  encrypted_thought: z.literal(true).optional(),
});
export type ResponsesFormat = z.infer<typeof ResponsesFormat>;

export const AnswerFormat = z.discriminatedUnion('dialect', [
  ChatFormat,
  CompletionsFormat,
  MessagesFormat,
  ResponsesFormat,
]);
export type AnswerFormat = z.infer<typeof AnswerFormat>;

const nanoUsd = z.int().min(0);

/** The money that an answer may cost. What it does not pay for waits at the agent until the hold has grown. */
export const Budget = z.object({
  held_nano_usd: nanoUsd,
  /** Nano-USD per token. */
  price: z.object({ cache_hit: nanoUsd, cache_miss: nanoUsd, output: nanoUsd }),
});
export type Budget = z.infer<typeof Budget>;

/**
 * Body of `POST /v1/extend`: the hold of a running request has another size. Body of the reply, too: what the answer may cost
 * from now on, which is more than was told where it has cost more already.
 */
export const Extension = z.object({ held_nano_usd: nanoUsd });
export type Extension = z.infer<typeof Extension>;
