/** The request body of OpenAI's Responses API: items instead of messages. What it refers to stands in `input` already. */
import * as z from 'zod';
import { SEALED_THOUGHT, unsealedThought } from '../../../gpu-pool/answers/sealed-thought.ts';
import type { ChatMessage } from '../../../gpu-pool/protocol/schemas.ts';
import { withAnswerPrefix } from '../../domain/answer-prefix.ts';
import { typesOf } from '../../domain/schema-reads.ts';
import { joinNames, unreadFields } from '../../domain/unread-fields.ts';
import type { ApiError } from '../../http/api-error.ts';
import { Metadata, readFields, SessionKey } from '../../http/fields.ts';
import { ALIKE } from './alike.ts';
import type { ChatRequest } from './chat-request.ts';
import {
  FormatSchema,
  MESSAGES_MAX,
  ModelName,
  SAMPLERS,
  samplers,
  Temperature,
  TokenLimit,
  TopP,
} from './fields.ts';
import type { PartsOf } from './readable-body.ts';
import { REASONING_FIELDS, readReasoning } from './reasoning-fields.ts';
import { customArguments } from './tools/custom-tool.ts';
import { type DeclaredTools, declareTools, modelName } from './tools/declared.ts';
import { ForeignItem, foreignOr, itemTools, knownItems } from './tools/responses-history.ts';
import {
  knownResponsesTools,
  ResponsesToolChoice,
  ResponsesTools,
  responsesChoice,
  responsesDeclarations,
} from './tools/responses-tools.ts';
import { chooseTools } from './tools/tool-choice.ts';

const TEXT_PARTS = 'must be a string or an array of text parts: only text is supported';
const TextPart = z.object({ type: z.enum(['input_text', 'output_text', 'text']), text: z.string() });
const RefusalPart = z.object({ type: z.literal('refusal'), refusal: z.string() });
const Text = z
  .union([z.string(), z.array(z.union([TextPart, RefusalPart]))], { error: TEXT_PARTS })
  .transform((content) =>
    typeof content === 'string'
      ? content
      : content.map((part) => (part.type === 'refusal' ? part.refusal : part.text)).join(''),
  );

export const RESPONSES_PARTS: PartsOf = {
  list: 'input',
  read: new Set([...typesOf(TextPart), ...typesOf(RefusalPart)]),
  readWithin: new Set(),
};

const MessageItem = z.object({
  type: z.literal('message'),
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content: Text,
});
const CallItem = z.object({
  type: z.literal('function_call'),
  call_id: z.string(),
  name: z.string(),
  /** The namespace in which the tool was declared; absent: none. */
  namespace: z.string().nullish(),
  arguments: z.string().default(''),
});
const CustomCallItem = CallItem.omit({ arguments: true }).extend({
  type: z.literal('custom_tool_call'),
  input: z.string().default(''),
});
const CallOutputItem = z.object({
  type: z.enum(['function_call_output', 'custom_tool_call_output']),
  /** OpenAI lets clients leave it out. */
  call_id: z.string().nullish(),
  output: Text.default(''),
});
/** Reasoning that is sent back; the model's profile says whether it goes on. */
const ReasoningItem = z.object({
  type: z.literal('reasoning'),
  content: z.array(z.object({ type: z.string(), text: z.string() })).nullish(),
  summary: z.array(z.object({ type: z.string(), text: z.string() })).nullish(),
  encrypted_content: z.string().nullish(),
});

const ITEMS = [MessageItem, CallItem, CustomCallItem, CallOutputItem, ReasoningItem, ForeignItem] as const;
const Item = foreignOr(z.discriminatedUnion('type', ITEMS, { error: 'must be an item with a type' }));

/** Normalizes the input before validation: a string is one user message, and an item without a type is a message. */
function toItems(input: unknown): unknown {
  if (typeof input === 'string') return [{ type: 'message', role: 'user', content: input }];
  if (!Array.isArray(input)) return input;
  return input.map((item) =>
    typeof item === 'object' && item !== null && item.type === undefined
      ? { ...item, type: 'message' }
      : item,
  );
}
const Input = z.preprocess(
  toItems,
  z.array(Item, { error: 'must be a string or an array of items' }).min(1).max(MESSAGES_MAX),
);

const Format = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    name: z.string(),
    schema: FormatSchema,
    description: z.string().nullish(),
    strict: z.boolean().nullish(),
  }),
]);

/** `auto`, `concise` or `detailed`. */
const SummaryKind = z.string().max(32);

/** A field that refers to state which is not kept here. `instead` tells the client what to send instead. */
const unsupported = (instead: string) => z.null({ error: `is not supported. ${instead}` }).optional();

export const ResponsesBody = z.object({
  model: ModelName,
  input: Input,
  instructions: z.string().nullish(),
  stream: z.boolean().nullish(),
  max_output_tokens: TokenLimit.nullish(),
  temperature: Temperature.nullish(),
  top_p: TopP.nullish(),
  ...SAMPLERS,
  tools: ResponsesTools.nullish(),
  tool_choice: ResponsesToolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  text: z.object({ format: Format.nullish() }).nullish(),
  ...REASONING_FIELDS,
  /** A summary, of whatever kind, is the thought itself. */
  reasoning: REASONING_FIELDS.reasoning
    .unwrap()
    .unwrap()
    .extend({ summary: SummaryKind.nullish(), generate_summary: SummaryKind.nullish() })
    .nullish(),
  include: z.array(z.string().max(64)).max(16).nullish(),
  metadata: Metadata.nullish(),
  prompt_cache_key: SessionKey.nullish(),
  user: z.string().nullish(),
  /** Read by stored-responses/open.ts, which takes a true out of the body: absent is true. */
  store: z.boolean().nullish(),
  background: z
    .literal(false, { error: 'must be absent or false: use /v1/batches for background work' })
    .nullish(),
  /** Read by stored-responses/open.ts, which takes it out of the body. */
  previous_response_id: z.string().nullish(),
  conversation: unsupported('Name the last response in `previous_response_id`, or send all items in `input`'),
  prompt: unsupported('Send the text itself in `input`'),
});
export type ResponsesFields = z.infer<typeof ResponsesBody>;

const ignoredOf = unreadFields({
  schema: ResponsesBody,
  unused: ['user'],
  alike: ALIKE,
});

/**
 * The error of a body that still refers to what is stored: one of a batch, whose lines run in any order and are stored nowhere
 * but in its output. Elsewhere stored-responses/open.ts has put the stored items in its place. null: it refers to nothing.
 */
function referenceError({ previous_response_id, input }: Record<string, unknown>): ApiError | null {
  const at = Array.isArray(input) ? input.findIndex((item) => item?.type === 'item_reference') : -1;
  const [param, name] = previous_response_id
    ? ['previous_response_id', 'previous_response_id']
    : [`input[${at}]`, 'item_reference'];
  if (!previous_response_id && at < 0) return null;
  const message = `\`${name}\` is not supported in batches. Send the whole conversation in \`input\`.`;
  return { reason: 'invalid_field', param, message };
}

type ReadResponsesRequest =
  | { ok: true; request: ChatRequest; fields: ResponsesFields; tools: DeclaredTools }
  | { ok: false; error: ApiError };

export function readResponsesRequest(body: Record<string, unknown>, headers: Headers): ReadResponsesRequest {
  const reference = referenceError(body);
  if (reference !== null) return { ok: false, error: reference };
  const gathered = { ...body, tools: itemTools(body) };
  const parsed = readFields(ResponsesBody, gathered, headers);
  if (!parsed.ok) return parsed;
  const { fields, session } = parsed;
  const steered = readReasoning(fields);
  if (!steered.ok) return steered;
  const tools = declareTools(responsesDeclarations(fields.tools ?? []));
  const chosen = chooseTools(tools, responsesChoice(fields.tool_choice));
  if (!chosen.ok) return chosen;
  const end = withAnswerPrefix(toMessages(fields, tools), {
    param: 'input',
    unasked:
      'the last item is an assistant’s, and no field asks to go on with it. End with one of the user’s.',
    joins: false,
  });
  if (!end.ok)
    return { ok: false, error: { reason: 'invalid_field', param: end.param, message: end.message } };
  const { messages } = end;
  if (messages.length === 0) {
    const message = '`input` must have at least one message or function call output.';
    return { ok: false, error: { reason: 'invalid_field', param: 'input', message } };
  }
  const generate = {
    messages,
    temperature: fields.temperature ?? undefined,
    top_p: fields.top_p ?? undefined,
    ...samplers(fields),
    tools: chosen.tools,
    tool_choice: chosen.tool_choice,
    parallel_tool_calls: fields.parallel_tool_calls === false ? (false as const) : undefined,
    response_format: toResponseFormat(fields.text?.format),
  };
  const read = { ...gathered, tools: knownResponsesTools(gathered.tools), input: knownItems(body.input) };
  const unreadItems = fields.input.flatMap((item) => (item.type === 'foreign' ? item.ignored : []));
  return {
    ok: true,
    fields,
    tools,
    request: {
      model: fields.model,
      stream: fields.stream ?? false,
      maxTokens: fields.max_output_tokens ?? null,
      choices: 1,
      sessionKey: fields.prompt_cache_key ?? session,
      promptField: 'input',
      thoughtField: 'input[].content',
      reasoning: steered.reasoning,
      ignored: joinNames(
        ignoredOf(read),
        unreadIncludes(fields),
        // Lines of a batch store nothing.
        fields.store ? ['store'] : [],
        tools.ignored,
        unreadItems,
      ),
      generate,
    },
  };
}

/** Includes are named as ignored, but for the one that is kept. */
function unreadIncludes({ include }: ResponsesFields): string[] {
  return include?.some((name) => name !== SEALED_THOUGHT) ? ['include'] : [];
}

function toMessages({ instructions, input }: ResponsesFields, tools: DeclaredTools): ChatMessage[] {
  const messages: ChatMessage[] = instructions ? [{ role: 'system', content: instructions }] : [];
  /** The thought of an answer stands before it as an item of its own. */
  let thought: string | undefined;
  /** The text before is that of a tool, which stands apart from what is written around it. */
  let isForeign = false;
  /** A result that does not name its call is that of the last one. */
  let lastCallId = 'call_0';
  for (const item of input) {
    if (item.type === 'reasoning') {
      thought = joined(thought, thoughtOf(item));
      continue;
    }
    const turn = turnOf(item, { tools, lastCallId });
    if (turn === null) continue;
    if ('call_id' in item && turn.role === 'assistant') lastCallId = item.call_id ?? lastCallId;
    const isApart = isForeign || item.type === 'foreign';
    isForeign = item.type === 'foreign';
    if (turn.role !== 'assistant') {
      // An answer that was cut off within its thought has no other item.
      if (thought !== undefined)
        messages.push({ role: 'assistant', content: '', reasoning_content: thought });
      messages.push(turn);
    } else if (!mergedInto(messages.at(-1), turn, { thought, isApart }))
      messages.push({ ...turn, reasoning_content: thought });
    thought = undefined;
  }
  const last = messages.at(-1);
  // The text of a tool's call or result is no beginning of an answer: the model is to answer it.
  if (isForeign && last?.role === 'assistant' && !last.tool_calls && last.content !== null)
    messages.splice(-1, 1, { role: 'user', content: last.content });
  return messages;
}

type AssistantTurn = Extract<ChatMessage, { role: 'assistant' }>;

/** Adds a turn to the one before where both are of one answer: its calls, and what it says behind them. */
function mergedInto(
  last: ChatMessage | undefined,
  turn: AssistantTurn,
  { thought, isApart }: { thought: string | undefined; isApart: boolean },
): boolean {
  if (last?.role !== 'assistant' || (turn.tool_calls === undefined && last.tool_calls === undefined))
    return false;
  if (turn.tool_calls) last.tool_calls = [...(last.tool_calls ?? []), ...turn.tool_calls];
  if (turn.content)
    last.content = (last.content ? last.content + (isApart ? '\n\n' : '') : '') + turn.content;
  last.reasoning_content = joined(last.reasoning_content, thought);
  return true;
}

/** null: an item without anything to read. */
function turnOf(
  item: Exclude<z.infer<typeof Item>, { type: 'reasoning' }>,
  { tools, lastCallId }: { tools: DeclaredTools; lastCallId: string },
): ChatMessage | null {
  switch (item.type) {
    case 'message':
      return { role: item.role === 'developer' ? 'system' : item.role, content: item.content };
    case 'function_call':
    case 'custom_tool_call': {
      const args = item.type === 'function_call' ? item.arguments : customArguments(item.input);
      const name = modelName(tools, item.name, item.namespace);
      const call = { id: item.call_id, type: 'function' as const, function: { name, arguments: args } };
      return { role: 'assistant', content: null, tool_calls: [call] };
    }
    case 'function_call_output':
    case 'custom_tool_call_output':
      return { role: 'tool', content: item.output, tool_call_id: item.call_id ?? lastCallId };
    case 'foreign':
      return item.text === null ? null : { role: item.role, content: item.text };
  }
}

/** The thought itself where the item has it, else its summary, else what was encoded of it. */
function thoughtOf(item: z.infer<typeof ReasoningItem>): string | undefined {
  const { content, summary, encrypted_content: sealed } = item;
  const parts = content && content.length > 0 ? content : (summary ?? []);
  return parts.map(({ text }) => text).join('') || (sealed ? unsealedThought(sealed) : undefined);
}

function joined(before: string | undefined, more: string | undefined): string | undefined {
  return before !== undefined && more !== undefined ? `${before}\n${more}` : (before ?? more);
}

function toResponseFormat(format: z.infer<typeof Format> | null | undefined) {
  if (format?.type !== 'json_schema') return format ?? undefined;
  const { type, ...schema } = format;
  return { type, json_schema: schema };
}
