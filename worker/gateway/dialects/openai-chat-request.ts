/**
 * The request body of OpenAI's and DeepSeek's chat completions: the accepted fields, and the errors of all others'
 * values.
 */
import * as z from 'zod';
import type { ChatMessage, GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';
import { withAnswerPrefix } from '../../domain/answer-prefix.ts';
import { joinNames, unreadFields } from '../../domain/unread-fields.ts';
import type { ApiError } from '../../http/api-error.ts';
import { readFields, SessionKey } from '../../http/fields.ts';
import { ALIKE } from './alike.ts';
import type { ChatRequest } from './chat-request.ts';
import {
  CHOICES_MAX,
  FORMAT_NAME,
  FormatSchema,
  MESSAGES_MAX,
  ModelName,
  Penalty,
  SAMPLERS,
  Stops,
  samplers,
  Temperature,
  TokenLimit,
  TopP,
} from './fields.ts';
import type { PartsOf } from './readable-body.ts';
import { REASONING_FIELDS, readReasoning } from './reasoning-fields.ts';
import { callsOf, contentOf, FunctionCall, legacyIds, ToolCall, unreadCalls } from './tools/chat-history.ts';
import {
  ChatToolChoice,
  ChatTools,
  chatChoice,
  chatDeclarations,
  FunctionCallChoice,
  Functions,
  knownChatTools,
} from './tools/chat-tools.ts';
import { type DeclaredTools, declareTools } from './tools/declared.ts';
import { chooseTools } from './tools/tool-choice.ts';

const TextPart = z.object({ type: z.literal('text'), text: z.string() });
const Text = z
  .union([z.string(), z.array(TextPart)], { error: 'must be a string or an array of {"type": "text"} parts' })
  .transform((content) =>
    typeof content === 'string' ? content : content.map((part) => part.text).join(''),
  );

export const CHAT_PARTS: PartsOf = { list: 'messages', read: new Set(['text']), readWithin: new Set() };

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
      prefix: z.boolean().nullish().meta({
        description:
          'Of the last message: the model goes on with it, and the answer has only what it adds (DeepSeek’s prefix completion). With an empty `content` it goes on inside `reasoning_content`.',
      }),
      name: z.string().optional(),
      tool_calls: z.array(ToolCall).nullish(),
      /** Deprecated, with the role `function` as its result. */
      function_call: FunctionCall.nullish(),
    }),
    z.object({ role: z.literal('tool'), content: Text.default(''), tool_call_id: z.string() }),
    z.object({ role: z.literal('function'), content: Text.default(''), name: z.string() }),
  ],
  { error: 'must be a message with the role system, user, assistant or tool' },
);

const JsonSchema = z.object({
  name: z.string().default(FORMAT_NAME),
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
  tools: ChatTools.nullish(),
  tool_choice: ChatToolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  functions: Functions.nullish(),
  function_call: FunctionCallChoice.nullish(),
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
  /** `includeUsage`: the client requested OpenAI's separate usage chunk; `isLegacy`: it knows `function_call` only */
  | { ok: true; request: ChatRequest; includeUsage: boolean; tools: DeclaredTools; isLegacy: boolean }
  | { ok: false; error: ApiError };

export function readChatRequest(body: Record<string, unknown>, headers: Headers): ReadChatRequest {
  const parsed = readFields(ChatBody, body, headers);
  if (!parsed.ok) return parsed;
  const { fields, session } = parsed;
  const steered = readReasoning(fields);
  if (!steered.ok) return steered;
  const read = readTools(fields);
  if (!read.ok) return read;
  const { tools, chosen, isLegacy } = read;
  const ids = legacyIds(fields.messages);
  const end = readEnd(fields.messages, ids);
  if (!end.ok) return end;
  const { messages, prefixField } = end;
  const { tools: list, tool_choice } = chosen;
  // The deprecated form has room for one call.
  const parallel_tool_calls = isLegacy || fields.parallel_tool_calls === false ? (false as const) : undefined;
  const generate = { messages, ...samplingFields(fields), tools: list, tool_choice, parallel_tool_calls };
  const known = { ...body, tools: knownChatTools(body.tools) };
  return {
    ok: true,
    tools,
    isLegacy,
    includeUsage: fields.stream_options?.include_usage ?? false,
    request: {
      model: fields.model,
      stream: fields.stream ?? false,
      maxTokens: fields.max_completion_tokens ?? fields.max_tokens ?? null,
      choices: fields.n ?? 1,
      sessionKey: fields.prompt_cache_key ?? session,
      promptField: 'messages',
      prefixField,
      thoughtField: 'messages[].reasoning_content',
      reasoning: steered.reasoning,
      ignored: joinNames(
        ignoredOf(known),
        tools.ignored,
        unreadCalls(fields.messages),
        unreadPrefixes(fields.messages),
      ),
      generate,
    },
  };
}

function samplingFields(
  fields: z.infer<typeof ChatBody>,
): Omit<
  GenerateRequest,
  'messages' | 'tools' | 'tool_choice' | 'parallel_tool_calls' | 'max_tokens' | 'cache_salt'
> {
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
    response_format: fields.response_format ?? undefined,
  };
}

type Fields = z.infer<typeof ChatBody>;
type Message = z.infer<typeof Message>;

/** The tools with the choice among them. `functions` are what `tools` were before OpenAI renamed them. */
function readTools({ functions, function_call: called, tools: given, tool_choice: choice }: Fields) {
  const hasTools = (given?.length ?? 0) > 0;
  if (hasTools && functions?.length) {
    const message = '`functions`: must not be sent beside `tools`, which replace them.';
    return { ok: false as const, error: { reason: 'invalid_field' as const, param: 'functions', message } };
  }
  const isLegacy = !hasTools && ((functions?.length ?? 0) > 0 || (called ?? null) !== null);
  const ofFunctions = (functions ?? []).map((each) => ({ kind: 'function' as const, ...each }));
  const declared = declareTools(isLegacy ? ofFunctions : chatDeclarations(given ?? []));
  const legacyChoice = typeof called === 'object' && called !== null ? { tool: called } : called;
  const chosen = chooseTools(declared, isLegacy ? (legacyChoice ?? undefined) : chatChoice(choice));
  if (!chosen.ok) return chosen;
  // Each of the two choices belongs to its own list.
  const other = isLegacy ? (choice ? ['tool_choice'] : []) : called ? ['function_call'] : [];
  const tools = { ...declared, ignored: [...declared.ignored, ...other] };
  return { ok: true as const, tools, chosen, isLegacy };
}

/**
 * The conversation, and how it ends. DeepSeek's API, too, refuses an assistant's last message without `prefix`, and asks for
 * roles in turn before one with it.
 */
function readEnd(messages: readonly Message[], ids: readonly string[]) {
  const at = messages.length - 1;
  const last = messages[at];
  const isPrefix = last?.role === 'assistant' && last.prefix === true;
  const end = withAnswerPrefix(
    messages.map((message, index) => toChatMessage(message, ids[index]!)),
    {
      param: isPrefix ? `messages[${at}].prefix` : `messages[${at}]`,
      unasked: isPrefix
        ? null
        : 'the last message is an assistant’s. Set its `prefix` to true to have the model go on with it, or end with a message of the user’s.',
      joins: false,
    },
  );
  if (end.ok) return end;
  const { param, message } = end;
  return { ok: false as const, error: { reason: 'invalid_field' as const, param, message } };
}

/** A prefix that others follow is an answer like any other. */
function unreadPrefixes(messages: readonly Message[]): string[] {
  const earlier = messages.slice(0, -1);
  return earlier.some((message) => message.role === 'assistant' && message.prefix)
    ? ['messages[].prefix']
    : [];
}

function toChatMessage(message: Message, legacyId: string): ChatMessage {
  switch (message.role) {
    case 'developer':
    case 'system':
      return { ...message, role: 'system' };
    case 'assistant': {
      const { reasoning_content, reasoning, name } = message;
      const calls = callsOf(message, legacyId);
      return {
        role: 'assistant',
        name,
        // Only an answer of calls has none; templates expect a text of any other.
        content: contentOf(message) ?? (calls ? null : ''),
        reasoning_content: reasoning_content ?? reasoning ?? undefined,
        tool_calls: calls,
      };
    }
    case 'function':
      return { role: 'tool', content: message.content, tool_call_id: legacyId };
    default:
      return message;
  }
}
