/**
 * The request body of OpenAI's and DeepSeek's chat completions: the accepted fields, and the errors of all others'
 * values.
 */
import * as z from 'zod';
import type { ChatMessage, GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';
import { unreadFields } from '../../domain/unread-fields.ts';
import type { ApiError } from '../../http/api-error.ts';
import { readFields, SessionKey } from '../../http/fields.ts';
import { ALIKE } from './alike.ts';
import type { ChatRequest } from './chat-request.ts';
import {
  CHOICES_MAX,
  FormatSchema,
  MESSAGES_MAX,
  ModelName,
  Penalty,
  SAMPLERS,
  Stops,
  samplers,
  Temperature,
  TokenLimit,
  ToolName,
  ToolSchema,
  TopP,
  toolList,
} from './fields.ts';
import type { PartsOf } from './readable-body.ts';
import { REASONING_FIELDS, readReasoning } from './reasoning-fields.ts';

const TextPart = z.object({ type: z.literal('text'), text: z.string() });
const Text = z
  .union([z.string(), z.array(TextPart)], { error: 'must be a string or an array of {"type": "text"} parts' })
  .transform((content) =>
    typeof content === 'string' ? content : content.map((part) => part.text).join(''),
  );

export const CHAT_PARTS: PartsOf = { list: 'messages', read: new Set(['text']), readWithin: new Set() };

/** Some clients send a call without arguments back as they assembled it: without the field. */
const ToolCall = z.object({
  id: z.string(),
  type: z.literal('function').default('function'),
  function: z.object({ name: z.string(), arguments: z.string().default('') }),
});

/** The thought behind an earlier answer is read from either name; the model's profile says whether it goes on. */
const Message = z.discriminatedUnion(
  'role',
  [
    z.object({ role: z.enum(['system', 'developer']), content: Text, name: z.string().optional() }),
    z.object({ role: z.literal('user'), content: Text, name: z.string().optional() }),
    z.object({
      role: z.literal('assistant'),
      content: Text.nullish(),
      reasoning_content: z.string().nullish(),
      reasoning: z.string().nullish(),
      name: z.string().optional(),
      tool_calls: z.array(ToolCall).nullish(),
    }),
    z.object({ role: z.literal('tool'), content: Text.default(''), tool_call_id: z.string() }),
  ],
  { error: 'must be a message with the role system, user, assistant or tool' },
);

const Tool = z.object({
  type: z.literal('function'),
  function: z.object({
    name: ToolName,
    description: z.string().nullish(),
    parameters: ToolSchema.nullish(),
    strict: z.boolean().nullish(),
  }),
});

const TOOL_CHOICE = 'must be "none", "auto", "required" or {"type": "function", "function": {"name": "…"}}';
const ToolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.object({ type: z.literal('function'), function: z.object({ name: ToolName }) }),
  ],
  { error: TOOL_CHOICE },
);

const JsonSchema = z.object({
  name: z.string().optional(),
  description: z.string().nullish(),
  schema: FormatSchema,
  strict: z.boolean().nullish(),
});

export const ChatBody = z.object({
  model: ModelName,
  messages: z.array(Message).min(1, 'must have at least one message').max(MESSAGES_MAX),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: TokenLimit.nullish(),
  max_completion_tokens: TokenLimit.nullish(),
  temperature: Temperature.nullish(),
  top_p: TopP.nullish(),
  presence_penalty: Penalty.nullish(),
  frequency_penalty: Penalty.nullish(),
  ...SAMPLERS,
  stop: Stops.nullish(),
  n: z.int().min(1).max(CHOICES_MAX).nullish(),
  seed: z.int().nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  tools: toolList(Tool, ({ function: { parameters, strict } }) => ({
    schema: parameters,
    strict: strict ?? false,
    at: ['function', 'parameters'],
  })).nullish(),
  tool_choice: ToolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('text') }),
      z.object({ type: z.literal('json_object') }),
      z.object({ type: z.literal('json_schema'), json_schema: JsonSchema }),
    ])
    .nullish(),
  prompt_cache_key: SessionKey.nullish(),
  ...REASONING_FIELDS,
});

const ignoredOf = unreadFields({ schema: ChatBody, alike: ALIKE });

type ReadChatRequest =
  /** `includeUsage`: the client requested OpenAI's separate usage chunk */
  { ok: true; request: ChatRequest; includeUsage: boolean } | { ok: false; error: ApiError };

export function readChatRequest(body: Record<string, unknown>, headers: Headers): ReadChatRequest {
  const parsed = readFields(ChatBody, body, headers);
  if (!parsed.ok) return parsed;
  const { fields, session } = parsed;
  const steered = readReasoning(fields);
  if (!steered.ok) return steered;
  const messages = fields.messages.map(toChatMessage);
  const generate = { messages, ...samplingFields(fields) };
  return {
    ok: true,
    includeUsage: fields.stream_options?.include_usage ?? false,
    request: {
      model: fields.model,
      stream: fields.stream ?? false,
      maxTokens: fields.max_completion_tokens ?? fields.max_tokens ?? null,
      choices: fields.n ?? 1,
      sessionKey: fields.prompt_cache_key ?? session,
      promptField: 'messages',
      thoughtField: 'messages[].reasoning_content',
      reasoning: steered.reasoning,
      ignored: ignoredOf(body),
      generate,
    },
  };
}

function samplingFields(
  fields: z.infer<typeof ChatBody>,
): Omit<GenerateRequest, 'messages' | 'max_tokens' | 'cache_salt'> {
  return {
    temperature: fields.temperature ?? undefined,
    top_p: fields.top_p ?? undefined,
    presence_penalty: fields.presence_penalty ?? undefined,
    frequency_penalty: fields.frequency_penalty ?? undefined,
    ...samplers(fields),
    stop: fields.stop ?? undefined,
    n: fields.n ?? undefined,
    seed: fields.seed ?? undefined,
    logprobs: fields.logprobs ?? undefined,
    top_logprobs: fields.top_logprobs ?? undefined,
    tools: fields.tools ?? undefined,
    tool_choice: fields.tool_choice ?? undefined,
    parallel_tool_calls: fields.parallel_tool_calls === false ? false : undefined,
    response_format: fields.response_format ?? undefined,
  };
}

function toChatMessage(message: z.infer<typeof Message>): ChatMessage {
  switch (message.role) {
    case 'developer':
    case 'system':
      return { ...message, role: 'system' };
    case 'assistant': {
      const { content, reasoning_content, reasoning, tool_calls, ...rest } = message;
      return {
        ...rest,
        // Only an answer of calls has none; templates expect a text of any other.
        content: content ?? (tool_calls && tool_calls.length > 0 ? null : ''),
        reasoning_content: reasoning_content ?? reasoning ?? undefined,
        tool_calls: tool_calls ?? undefined,
      };
    }
    default:
      return message;
  }
}
