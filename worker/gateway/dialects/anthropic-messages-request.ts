/**
 * The request body of Anthropic's Messages API. Content is made of blocks instead of strings, and the system prompt is a
 * field beside the conversation.
 */
import * as z from 'zod';
import type { ChatMessage } from '../../../gpu-pool/protocol/schemas.ts';
import { prefixOf, withAnswerPrefix } from '../../domain/answer-prefix.ts';
import { typesOf } from '../../domain/schema-reads.ts';
import { joinNames, unreadFields } from '../../domain/unread-fields.ts';
import type { ApiError } from '../../http/api-error.ts';
import { readFields } from '../../http/fields.ts';
import { ALIKE } from './alike.ts';
import type { ChatRequest } from './chat-request.ts';
import { MESSAGES_MAX, ModelName, SAMPLERS, StopList, samplers, TokenLimit, TopP } from './fields.ts';
import { OutputConfig, OutputFormat, readOutputFormat } from './messages-format.ts';
import type { PartsOf } from './readable-body.ts';
import { REASONING_FIELDS, readReasoning } from './reasoning-fields.ts';
import { declareTools } from './tools/declared.ts';
import { ForeignBlock, foreignOr, isForeignBlock, knownBlocks, textOf } from './tools/messages-history.ts';
import {
  knownMessagesTools,
  MessagesToolChoice,
  MessagesTools,
  messagesChoice,
  messagesDeclarations,
} from './tools/messages-tools.ts';
import { chooseTools } from './tools/tool-choice.ts';

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
  /** Libraries that assemble a call without arguments from a stream leave it out. */
  input: z.unknown().optional(),
});
/** Thinking that is sent back; the model's profile says whether it goes on. */
const ThinkingBlock = z.object({ type: z.literal('thinking'), thinking: z.string().default('') });
/** Thinking that only its provider can read. */
const RedactedBlock = z.object({ type: z.literal('redacted_thinking') });

const OfUser = z.discriminatedUnion('type', [TextBlock, ToolResult, ForeignBlock], { error: BLOCK });
const OfAssistant = z.discriminatedUnion(
  'type',
  [TextBlock, ToolUse, ThinkingBlock, RedactedBlock, ForeignBlock],
  { error: BLOCK },
);
const UserBlock = foreignOr(OfUser);
const AssistantBlock = foreignOr(OfAssistant);

export const MESSAGES_PARTS: PartsOf = {
  list: 'messages',
  read: new Set([...typesOf(OfUser), ...typesOf(OfAssistant)].filter((type) => type !== 'foreign')),
  readWithin: typesOf(TextBlock),
  isWhole: isForeignBlock,
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
  output_config: OutputConfig.nullish(),
  /** The name of `output_config.format` in Anthropic's beta; libraries of that time still send it. */
  output_format: OutputFormat.nullish(),
  tools: MessagesTools.nullish(),
  tool_choice: MessagesToolChoice.nullish(),
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
  const format = readOutputFormat(fields);
  if (!format.ok) return format;
  const tools = declareTools(messagesDeclarations(fields.tools ?? []));
  const chosen = chooseTools(tools, messagesChoice(fields.tool_choice));
  if (!chosen.ok) return chosen;
  const end = readEnd(fields);
  if (!end.ok) return end;
  const { messages, prefixField } = end;
  const generate: ChatRequest['generate'] = {
    messages,
    temperature: fields.temperature ?? undefined,
    top_p: fields.top_p ?? undefined,
    ...samplers(fields),
    stop: fields.stop_sequences ?? undefined,
    tools: chosen.tools,
    tool_choice: chosen.tool_choice,
    parallel_tool_calls: isOneAtATime(fields.tool_choice) ? false : undefined,
    response_format: format.responseFormat,
  };
  const read = { ...body, tools: knownMessagesTools(body.tools), messages: knownBlocks(body.messages) };
  return {
    ok: true,
    request: {
      model: fields.model,
      stream: fields.stream ?? false,
      maxTokens: fields.max_tokens,
      choices: 1,
      sessionKey: session,
      promptField: 'messages',
      prefixField,
      thoughtField: 'messages[].content[].thinking',
      reasoning: steered.reasoning,
      ignored: joinNames(ignoredOf(read), tools.ignored, unreadBlocks(fields)),
      generate,
    },
  };
}

function toMessages({ system, messages }: Fields): ChatMessage[] {
  const systemMessages: ChatMessage[] = system ? [{ role: 'system', content: system }] : [];
  return [...systemMessages, ...messages.flatMap(toChatMessages)];
}

/**
 * The conversation, and how it ends: the model goes on with an assistant's last message. As at Anthropic it ends without
 * blanks, with which few tokens begin, and has its thought with it where thinking is asked for.
 */
function readEnd(fields: Fields) {
  const refused = (param: string, message: string) => ({
    ok: false as const,
    error: { reason: 'invalid_field' as const, param, message },
  });
  const param = `messages[${fields.messages.length - 1}]`;
  const end = withAnswerPrefix(toMessages(fields), { param, unasked: null, joins: true });
  if (!end.ok) return refused(end.param, end.message);
  const prefix = prefixOf(end.messages);
  if (prefix?.content && /\s$/.test(prefix.content))
    return refused('messages', '`messages`: final assistant content cannot end with trailing whitespace.');
  const asksToThink = fields.thinking?.type === 'enabled' || fields.thinking?.type === 'adaptive';
  if (asksToThink && prefix && prefix.reasoning_content === undefined)
    return refused(
      param,
      `\`${param}\`: with thinking, a final assistant message must start with a thinking block. Leave out one of the two.`,
    );
  return end;
}

function toChatMessages(message: Fields['messages'][number]): ChatMessage[] {
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.content }];
    case 'assistant': {
      const text = textOf(message.content.filter(isShown));
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
  let shown: Shown[] = [];
  const endText = () => {
    if (shown.length > 0) turns.push({ role: 'user', content: textOf(shown) });
    shown = [];
  };
  for (const block of content) {
    if (block.type !== 'tool_result') {
      shown.push(block);
      continue;
    }
    endText();
    // the engine's chat template has no failed calls, so the text tells the model of the failure
    const result = block.is_error ? `Error: ${block.content}` : block.content;
    turns.push({ role: 'tool', content: result, tool_call_id: block.tool_use_id });
  }
  endText();
  return turns.length > 0 ? turns : [{ role: 'user', content: '' }];
}

type Shown = z.infer<typeof TextBlock | typeof ForeignBlock>;

function isShown(block: z.infer<typeof AssistantBlock>): block is Shown {
  return block.type === 'text' || block.type === 'foreign';
}

function unreadBlocks({ messages }: Fields): string[] {
  return messages.flatMap(({ content }) =>
    typeof content === 'string'
      ? []
      : content.flatMap((block) => (block.type === 'foreign' ? block.ignored : [])),
  );
}

function isOneAtATime(choice: Fields['tool_choice']): boolean {
  return (
    choice !== null &&
    choice !== undefined &&
    choice.type !== 'none' &&
    choice.disable_parallel_tool_use === true
  );
}
