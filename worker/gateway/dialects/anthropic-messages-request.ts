/**
 * The request body of Anthropic's Messages API. Content is made of blocks instead of strings, and the system prompt is a
 * field beside the conversation.
 */
import * as z from 'zod';
import type { ChatMessage } from '../../../gpu-pool/protocol/schemas.ts';
import { typesOf } from '../../domain/schema-reads.ts';
import { unreadFields } from '../../domain/unread-fields.ts';
import type { ApiError } from '../../http/api-error.ts';
import { readFields } from '../../http/fields.ts';
import { ALIKE } from './alike.ts';
import type { ChatRequest } from './chat-request.ts';
import {
  MESSAGES_MAX,
  ModelName,
  SAMPLERS,
  StopList,
  samplers,
  TokenLimit,
  ToolName,
  ToolSchema,
  TopP,
  toolList,
} from './fields.ts';
import type { PartsOf } from './readable-body.ts';
import { REASONING_FIELDS, readReasoning } from './reasoning-fields.ts';

const BLOCK = 'must be a text, tool_use or tool_result block: only text is supported';

/** An array of blocks. A string stands for one text block and is converted before validation. */
const blocks = <Block extends z.ZodType>(block: Block) =>
  z.preprocess(
    (content) => (typeof content === 'string' ? [{ type: 'text', text: content }] : content),
    z.array(block, { error: 'must be a string or an array of blocks' }),
  );

const TextBlock = z.object({ type: z.literal('text'), text: z.string() });
const Texts = blocks(TextBlock).transform((textBlocks) => textBlocks.map(({ text }) => text).join(''));
const ToolResult = z.object({
  type: z.literal('tool_result'),
  tool_use_id: z.string(),
  content: Texts.default(''),
  is_error: z.boolean().nullish(),
});
const ToolUse = z.object({
  type: z.literal('tool_use'),
  id: z.string(),
  name: z.string(),
  input: z.unknown(),
});
/** Thinking that is sent back; the model's profile says whether it goes on. */
const ThinkingBlock = z.object({ type: z.literal('thinking'), thinking: z.string().default('') });
/** Thinking that only its provider can read. */
const RedactedBlock = z.object({ type: z.literal('redacted_thinking') });

const UserBlock = z.discriminatedUnion('type', [TextBlock, ToolResult], { error: BLOCK });
const AssistantBlock = z.discriminatedUnion('type', [TextBlock, ToolUse, ThinkingBlock, RedactedBlock], {
  error: BLOCK,
});

export const MESSAGES_PARTS: PartsOf = {
  list: 'messages',
  read: new Set([...typesOf(UserBlock), ...typesOf(AssistantBlock)]),
  readWithin: typesOf(TextBlock),
};

const Message = z.discriminatedUnion(
  'role',
  [
    z.object({ role: z.literal('user'), content: blocks(UserBlock) }),
    z.object({ role: z.literal('assistant'), content: blocks(AssistantBlock) }),
    z.object({ role: z.literal('system'), content: Texts }),
  ],
  { error: 'must be a message with the role user or assistant' },
);

const OneAtATime = z.boolean().nullish();

const Tool = z.object({
  type: z
    .literal('custom', { error: 'must be absent or "custom": server tools are not supported' })
    .nullish(),
  name: ToolName,
  description: z.string().nullish(),
  input_schema: ToolSchema,
  /** The model's calls always fit `input_schema`. */
  strict: z.boolean().nullish(),
});

export const MessagesBody = z.object({
  model: ModelName,
  /** Required: Anthropic's clients always send it and rely on an error when it is missing. */
  max_tokens: TokenLimit,
  system: Texts.nullish(),
  messages: z.array(Message).min(1, 'must have at least one message').max(MESSAGES_MAX),
  stream: z.boolean().nullish(),
  temperature: z.number().min(0).max(1).nullish(),
  top_p: TopP.nullish(),
  ...SAMPLERS,
  stop_sequences: StopList.nullish(),
  ...REASONING_FIELDS,
  tools: toolList(Tool, ({ input_schema, strict }) => ({
    schema: input_schema,
    strict: strict ?? false,
    at: ['input_schema'],
  })).nullish(),
  tool_choice: z
    .discriminatedUnion('type', [
      z.object({ type: z.enum(['auto', 'any']), disable_parallel_tool_use: OneAtATime }),
      z.object({ type: z.literal('none') }),
      z.object({ type: z.literal('tool'), name: ToolName, disable_parallel_tool_use: OneAtATime }),
    ])
    .nullish(),
});
type Fields = z.infer<typeof MessagesBody>;
const ignoredOf = unreadFields({ schema: MessagesBody, alike: ALIKE });

export function readMessagesRequest(
  body: Record<string, unknown>,
  headers: Headers,
): { ok: true; request: ChatRequest } | { ok: false; error: ApiError } {
  const parsed = readFields(MessagesBody, body, headers);
  if (!parsed.ok) return parsed;
  const { fields, session } = parsed;
  const steered = readReasoning(fields);
  if (!steered.ok) return steered;
  const messages = toMessages(fields);
  const tools = fields.tools?.map(({ name, description, input_schema: parameters, strict }) => ({
    type: 'function' as const,
    function: {
      name,
      parameters,
      ...(description ? { description } : {}),
      ...(strict ? { strict } : {}),
    },
  }));
  const generate: ChatRequest['generate'] = {
    messages,
    temperature: fields.temperature ?? undefined,
    top_p: fields.top_p ?? undefined,
    ...samplers(fields),
    stop: fields.stop_sequences ?? undefined,
    tools,
    tool_choice: toToolChoice(fields.tool_choice),
    parallel_tool_calls: isOneAtATime(fields.tool_choice) ? false : undefined,
  };
  return {
    ok: true,
    request: {
      model: fields.model,
      stream: fields.stream ?? false,
      maxTokens: fields.max_tokens,
      choices: 1,
      sessionKey: session,
      promptField: 'messages',
      thoughtField: 'messages[].content[].thinking',
      reasoning: steered.reasoning,
      ignored: ignoredOf(body),
      generate,
    },
  };
}

function toMessages({ system, messages }: Fields): ChatMessage[] {
  const systemMessages: ChatMessage[] = system ? [{ role: 'system', content: system }] : [];
  return [...systemMessages, ...messages.flatMap(toChatMessages)];
}

function toChatMessages(message: Fields['messages'][number]): ChatMessage[] {
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.content }];
    case 'assistant': {
      const text = message.content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('');
      const thinking = message.content.flatMap((block) =>
        block.type === 'thinking' ? [block.thinking] : [],
      );
      const reasoning_content = thinking.join('') || undefined;
      const calls = message.content.flatMap((block) =>
        block.type === 'tool_use'
          ? [
              {
                id: block.id,
                type: 'function' as const,
                function: { name: block.name, arguments: JSON.stringify(block.input ?? {}) },
              },
            ]
          : [],
      );
      const tool_calls = calls.length > 0 ? calls : undefined;
      const content = text === '' && tool_calls ? null : text;
      return [{ role: 'assistant', content, reasoning_content, tool_calls }];
    }
    case 'user':
      return toTurns(message.content);
  }
}

/** Converts a user message: each tool result becomes a turn of its own, and the text between them keeps its position. */
function toTurns(content: readonly z.infer<typeof UserBlock>[]): ChatMessage[] {
  const turns: ChatMessage[] = [];
  for (const block of content) {
    const last = turns.at(-1);
    if (block.type === 'tool_result') {
      // the engine's chat template has no failed calls, so the text tells the model of the failure
      const result = block.is_error ? `Error: ${block.content}` : block.content;
      turns.push({ role: 'tool', content: result, tool_call_id: block.tool_use_id });
    } else if (last?.role === 'user') last.content += block.text;
    else turns.push({ role: 'user', content: block.text });
  }
  return turns.length > 0 ? turns : [{ role: 'user', content: '' }];
}

function toToolChoice(choice: Fields['tool_choice']) {
  if (!choice) return undefined;
  if (choice.type === 'tool') return { type: 'function' as const, function: { name: choice.name } };
  return choice.type === 'any' ? 'required' : choice.type;
}

function isOneAtATime(choice: Fields['tool_choice']): boolean {
  return (
    choice !== null &&
    choice !== undefined &&
    choice.type !== 'none' &&
    choice.disable_parallel_tool_use === true
  );
}
