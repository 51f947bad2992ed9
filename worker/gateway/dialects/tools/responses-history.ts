/**
 * Items of a Responses conversation that this API does not make itself: calls of tools that OpenAI runs, their results, and
 * items of types that are newer than this file. A conversation is never refused for one.
 */
import * as z from 'zod';
import { reportedName } from '../../../domain/unread-fields.ts';
import { anyOtherType } from './any-other-type.ts';
import { historyText } from './history-text.ts';
import { rawType } from './raw-type.ts';

/** Types that are read, and the reference to a stored item, without which a conversation would have a hole. */
const READ = new Set([
  'message',
  'function_call',
  'function_call_output',
  'custom_tool_call',
  'custom_tool_call_output',
  'reasoning',
  'item_reference',
]);
/** Types of items that declare tools in the middle of a conversation. */
const DECLARING = new Set(['additional_tools', 'tool_search_output']);

/** An item as text; null: nothing to read. */
export const ForeignItem = z
  .object({
    type: z.literal('foreign'),
    role: z.enum(['user', 'assistant']),
    text: z.string().nullable(),
    /** Names for `tollgate.ignored`. */
    ignored: z.array(z.string()),
  })
  .meta(
    anyOtherType(
      { not: { enum: [...READ] } },
      'an item of any other type: text in its place, or left out and named in `tollgate.ignored` if it has none',
    ),
  );

type RawItem = Readonly<Record<string, unknown>> & { readonly type: string };

/** A schema before which every item of another type becomes a `ForeignItem`. */
export const foreignOr = <Item extends z.ZodType>(item: Item) =>
  z.preprocess((raw) => (isForeign(raw) ? foreignItem(raw) : raw), item);

/** The items of an unvalidated body whose fields are read. */
export function knownItems(input: unknown): unknown {
  return Array.isArray(input) ? input.filter((item) => !isForeign(item)) : input;
}

/**
 * The body's tools with those that its items declare: the model is told of all of them at the beginning. One that is declared
 * again as it was, as in each turn of a stored conversation, is there once, or a long conversation would have too many.
 */
export function itemTools({ tools, input }: Readonly<Record<string, unknown>>): unknown {
  if (!Array.isArray(input) || (tools !== undefined && tools !== null && !Array.isArray(tools))) return tools;
  const more = input.flatMap((item) =>
    isForeign(item) && DECLARING.has(item.type) && Array.isArray(item.tools) ? item.tools : [],
  );
  if (more.length === 0) return tools;
  const own = tools ?? [];
  const known = new Set(own.map((tool) => JSON.stringify(tool)));
  return [
    ...own,
    ...more.filter((tool) => {
      const text = JSON.stringify(tool);
      return !known.has(text) && known.add(text);
    }),
  ];
}

function isForeign(raw: unknown): raw is RawItem {
  const type = rawType(raw);
  return type !== null && !READ.has(type);
}

function foreignItem(raw: RawItem): z.infer<typeof ForeignItem> {
  const { type } = raw;
  // Results of the client's tools were not said by the assistant.
  const role = /_(?:output|response)$/.test(type) ? 'user' : 'assistant';
  if (type === 'additional_tools') return { type: 'foreign', role, text: null, ignored: [] };
  const shown = historyText(DECLARING.has(type) ? { ...raw, tools: namesOf(raw.tools) } : raw);
  const isWhole = shown !== null && !shown.isCut;
  return {
    type: 'foreign',
    role,
    text: shown?.text ?? null,
    ignored: isWhole ? [] : [reportedName(`input[].${type}`)],
  };
}

function namesOf(tools: unknown): unknown {
  return Array.isArray(tools) ? tools.map((tool) => tool?.name ?? null) : null;
}
