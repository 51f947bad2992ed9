/**
 * Blocks of an Anthropic conversation that this API does not make itself: calls of tools that Anthropic's servers ran, and
 * their results. A conversation is never refused for one.
 */
import * as z from 'zod';
import { reportedName } from '../../../domain/unread-fields.ts';
import { anyOtherType } from './any-other-type.ts';
import { historyText } from './history-text.ts';
import { rawType } from './raw-type.ts';

const FOREIGN = 'foreign';

/** Types of blocks of tools, and of summaries; any other block of an unknown type is content. */
const TOOL_BLOCK = /(?:._tool_use|._tool_result|^compaction)$/;

/** A block as text; null: nothing to read. */
export const ForeignBlock = z
  .object({
    type: z.literal(FOREIGN),
    text: z.string().nullable(),
    /** Names for `tollgate.ignored`. */
    ignored: z.array(z.string()),
  })
  .meta(
    anyOtherType({ pattern: TOOL_BLOCK.source }, 'a call or a result of a tool that Anthropic ran, as text'),
  );

export const isForeignBlock = (type: string): boolean => TOOL_BLOCK.test(type);

/** A schema before which every such block becomes a `ForeignBlock`. */
export const foreignOr = <Block extends z.ZodType>(block: Block) =>
  z.preprocess((raw) => {
    const type = foreignType(raw);
    // Only this function makes such blocks: a client's own would be one of an unknown type.
    if (type === null) return rawType(raw) === FOREIGN ? {} : raw;
    const shown = historyText(raw as Record<string, unknown>);
    const isWhole = shown !== null && !shown.isCut;
    return {
      type: FOREIGN,
      text: shown?.text ?? null,
      ignored: isWhole ? [] : [reportedName(`messages[].content[].${type}`)],
    };
  }, block);

/** The messages of an unvalidated body with the blocks whose fields are read. */
export function knownBlocks(messages: unknown): unknown {
  if (!Array.isArray(messages)) return messages;
  return messages.map((message) =>
    Array.isArray(message?.content)
      ? { ...message, content: message.content.filter((raw: unknown) => foreignType(raw) === null) }
      : message,
  );
}

/** The blocks' text. That of a tool stands apart from what is written around it. */
export function textOf(
  blocks: readonly (z.infer<typeof ForeignBlock> | { readonly type: 'text'; readonly text: string })[],
): string {
  let joined = '';
  let isApart = false;
  for (const { type, text } of blocks) {
    if (!text) continue;
    const separator = joined !== '' && (isApart || type === 'foreign') ? '\n\n' : '';
    joined += separator + text;
    isApart = type === 'foreign';
  }
  return joined;
}

function foreignType(raw: unknown): string | null {
  const type = rawType(raw);
  return type !== null && isForeignBlock(type) ? type : null;
}
