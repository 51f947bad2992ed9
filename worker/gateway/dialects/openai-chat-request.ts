/** OpenAI's and DeepSeek's chat body: what is accepted, what is forgiven, and what is said of the rest. */
import { z } from 'zod';
import type { ChatMessage, GenerateRequest } from '../../../gpu-pool/protocol.ts';
import type { ChatRequest } from '../chat-request.ts';
import type { Refusal } from '../refusal.ts';

/** Deeper JSON schemas and tool parameters than this are attacks on recursive readers. */
const DEPTH_MAX = 32;

const TextPart = z.object({ type: z.literal('text'), text: z.string() });
const Text = z
  .union([z.string(), z.array(TextPart)], { error: 'must be a string or an array of {"type": "text"} parts' })
  .transform((content) =>
    typeof content === 'string' ? content : content.map((part) => part.text).join(''),
  );

const ToolCall = z.object({
  id: z.string(),
  type: z.literal('function').default('function'),
  function: z.object({ name: z.string(), arguments: z.string() }),
});

/** `reasoning_content` sent back is dropped with every other unknown field: R1 must not see its old reasoning. */
const Message = z.discriminatedUnion(
  'role',
  [
    z.object({ role: z.enum(['system', 'developer']), content: Text, name: z.string().optional() }),
    z.object({ role: z.literal('user'), content: Text, name: z.string().optional() }),
    z.object({
      role: z.literal('assistant'),
      content: Text.nullish(),
      name: z.string().optional(),
      tool_calls: z.array(ToolCall).nullish(),
    }),
    z.object({ role: z.literal('tool'), content: Text, tool_call_id: z.string() }),
  ],
  { error: 'must be a message with a role: system, user, assistant or tool' },
);

const shallow = (value: unknown) => depthOf(value) <= DEPTH_MAX;
const passedOn = z
  .record(z.string(), z.unknown())
  .refine(shallow, `must not nest deeper than ${DEPTH_MAX} levels`);

const Tool = z
  .object({
    type: z.literal('function'),
    function: z.looseObject({ name: z.string().regex(/^[\w-]{1,64}$/) }),
  })
  .refine(shallow, `must not nest deeper than ${DEPTH_MAX} levels`);

/** OpenAI takes 64 characters and refuses more; clients that join two UUIDs meet no refusal here. */
const SessionKey = z.string().min(1).max(256);
/** The same by a header, for clients that cannot add a field. */
const SESSION_HEADER = 'x-session-id';
const SessionHeader = z.object({ [SESSION_HEADER]: SessionKey.nullable() });

const tokenLimit = z.int().min(1).max(65_536);

const Body = z.object({
  model: z.string().min(1).max(256),
  messages: z.array(Message).min(1, 'must hold at least one message').max(10_000),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: tokenLimit.nullish(),
  max_completion_tokens: tokenLimit.nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  stop: z
    .union([z.string(), z.array(z.string()).max(16)], { error: 'must be a string or up to 16 strings' })
    .nullish(),
  n: z.int().min(1).max(8).nullish(),
  seed: z.int().nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  tools: z.array(Tool).max(128).nullish(),
  tool_choice: z.union([z.enum(['none', 'auto', 'required']), passedOn]).nullish(),
  response_format: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('text') }),
      z.object({ type: z.literal('json_object') }),
      z.object({ type: z.literal('json_schema'), json_schema: passedOn }),
    ])
    .nullish(),
  prompt_cache_key: SessionKey.nullish(),
});

/** Unknown fields are ignored and never forwarded. */
export function readChatRequest(
  body: Record<string, unknown>,
  headers: Headers,
): { ok: true; request: ChatRequest } | { ok: false; refusal: Refusal } {
  const parsed = Body.safeParse(body);
  if (!parsed.success) return { ok: false, refusal: invalidField(parsed.error.issues[0]!) };
  const fields = parsed.data;
  const session = SessionHeader.safeParse({ [SESSION_HEADER]: headers.get(SESSION_HEADER) });
  if (!session.success) return { ok: false, refusal: invalidField(session.error.issues[0]!) };
  const messages = fields.messages.map(toChatMessage);
  const shown = JSON.stringify([messages, fields.tools ?? null]);
  return {
    ok: true,
    request: {
      model: fields.model,
      stream: fields.stream ?? false,
      includeUsage: fields.stream_options?.include_usage ?? false,
      maxTokens: fields.max_completion_tokens ?? fields.max_tokens ?? null,
      choices: fields.n ?? 1,
      sessionKey: fields.prompt_cache_key ?? session.data[SESSION_HEADER] ?? null,
      contentBytes: new TextEncoder().encode(shown).byteLength,
      generate: { messages, ...samplingFields(fields) },
    },
  };
}

function samplingFields(
  fields: z.infer<typeof Body>,
): Omit<GenerateRequest, 'messages' | 'max_tokens' | 'cache_salt'> {
  return {
    temperature: fields.temperature ?? undefined,
    top_p: fields.top_p ?? undefined,
    presence_penalty: fields.presence_penalty ?? undefined,
    frequency_penalty: fields.frequency_penalty ?? undefined,
    stop: typeof fields.stop === 'string' ? [fields.stop] : (fields.stop ?? undefined),
    n: fields.n ?? undefined,
    seed: fields.seed ?? undefined,
    logprobs: fields.logprobs ?? undefined,
    top_logprobs: fields.top_logprobs ?? undefined,
    tools: fields.tools ?? undefined,
    tool_choice: fields.tool_choice ?? undefined,
    response_format: fields.response_format ?? undefined,
  };
}

function toChatMessage(message: z.infer<typeof Message>): ChatMessage {
  switch (message.role) {
    case 'developer':
    case 'system':
      return { ...message, role: 'system' };
    case 'assistant':
      return { ...message, content: message.content ?? null, tool_calls: message.tool_calls ?? undefined };
    default:
      return message;
  }
}

function invalidField(issue: z.core.$ZodIssue): Refusal {
  const param = issue.path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? part : `.${String(part)}`))
    .join('');
  return {
    reason: 'invalid_field',
    param: param || null,
    message: `\`${param}\`: ${lowerFirst(issue.message)}.`,
  };
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function depthOf(value: unknown): number {
  let level: unknown[] = [value];
  let depth = 0;
  while (level.length > 0) {
    depth += 1;
    level = level.flatMap((each) => (typeof each === 'object' && each !== null ? Object.values(each) : []));
  }
  return depth;
}
