/** Calls in a chat conversation that is sent back: of functions, of free-form tools, and in the form before `tool_calls`. */
import * as z from 'zod';
import { reportedName } from '../../../domain/unread-fields.ts';
import { anyOtherType } from './any-other-type.ts';
import { customArguments } from './custom-tool.ts';
import { historyText } from './history-text.ts';
import { rawType } from './raw-type.ts';

/**
 * OpenAI's deprecated form of a call: a message has one at most, and its result is a message of the role `function`. Some
 * clients send a call without arguments back as they assembled it: without the field.
 */
export const FunctionCall = z.object({ name: z.string(), arguments: z.string().default('') });
const CustomCall = z.object({ name: z.string(), input: z.string().default('') });
/** A call of a type that is newer than this file, as text; null: nothing to read. */
const ForeignCall = z
  .object({ type: z.literal('foreign'), of: z.string(), text: z.string().nullable() })
  .meta(
    anyOtherType({ not: { enum: ['function', 'custom'] } }, 'a call of any other type, which becomes text'),
  );

const READ: readonly unknown[] = ['function', 'custom', null];

export const ToolCall = z.preprocess(
  (raw) => {
    if (!isForeign(raw)) return raw;
    // Some libraries put a type of their own beside a function.
    if ('function' in raw) return { ...raw, type: 'function' };
    return { type: 'foreign', of: raw.type, text: historyText(raw)?.text ?? null };
  },
  z.discriminatedUnion('type', [
    z.object({ id: z.string(), type: z.literal('function').nullish(), function: FunctionCall }),
    z.object({ id: z.string(), type: z.literal('custom'), custom: CustomCall }),
    ForeignCall,
  ]),
);

interface CallingMessage {
  readonly role: string;
  readonly name?: string | undefined;
  readonly content?: string | null | undefined;
  readonly tool_calls?: readonly z.infer<typeof ToolCall>[] | null | undefined;
  readonly function_call?: z.infer<typeof FunctionCall> | null | undefined;
}

/** The calls of an assistant's message as the node takes them; undefined: none. @param legacyId of its `function_call` */
export function callsOf({ tool_calls, function_call }: CallingMessage, legacyId: string) {
  const calls = (tool_calls ?? []).flatMap((call) => {
    if (call.type === 'foreign') return [];
    const { id } = call;
    if (call.type === 'custom')
      return [
        { id, type, function: { name: call.custom.name, arguments: customArguments(call.custom.input) } },
      ];
    return [{ id, type, function: call.function }];
  });
  if (function_call) calls.push({ id: legacyId, type, function: function_call });
  return calls.length > 0 ? calls : undefined;
}
const type = 'function' as const;

/** An assistant's text with that of calls which are no calls here. */
export function contentOf({ content, tool_calls }: CallingMessage): string | null {
  const texts = (tool_calls ?? []).flatMap((call) => (call.type === 'foreign' ? (call.text ?? []) : []));
  if (texts.length === 0) return content ?? null;
  return [content, ...texts].filter(Boolean).join('\n\n');
}

/** Names for `tollgate.ignored`: calls that have nothing to read. */
export function unreadCalls(messages: readonly CallingMessage[]): string[] {
  return messages.flatMap(({ tool_calls }) =>
    (tool_calls ?? []).flatMap((call) =>
      call.type === 'foreign' && call.text === null
        ? [reportedName(`messages[].tool_calls[].${call.of}`)]
        : [],
    ),
  );
}

/**
 * For each message the id of the call in the form before `tool_calls` that it makes, or whose result it is: calls of that
 * form have none of their own. A result belongs to the last call of its function.
 */
export function legacyIds(messages: readonly CallingMessage[]): string[] {
  const byName = new Map<string | undefined, string>();
  return messages.map(({ role, name, function_call }, at) => {
    const id = `call_${at}`;
    if (function_call) byName.set(function_call.name, id);
    return role === 'function' ? (byName.get(name) ?? id) : id;
  });
}

function isForeign(raw: unknown): raw is Record<string, unknown> & { type: string } {
  return !READ.includes(rawType(raw));
}
