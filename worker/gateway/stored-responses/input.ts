/** The items of a request's `input` as they are stored and listed: each with a type and an id. */
import type { Item } from './read.ts';
import { inputItemId } from './stored-id.ts';

/** Items as the client sent them; null: `input` is no list of items, which the dialect refuses. */
export function inputItems(input: unknown): Item[] | null {
  if (typeof input === 'string') return [{ type: 'message', role: 'user', content: input }];
  if (!Array.isArray(input)) return null;
  return input.every(isItem) ? input : null;
}

function isItem(item: unknown): item is Item {
  return typeof item === 'object' && item !== null && !Array.isArray(item);
}

/** The id of an item that stands for a stored one; null: it is an item itself. OpenAI lets clients leave its type out. */
export function referenceOf({ type, id, role, content }: Item): string | null {
  const isUntyped = (type === undefined || type === null) && role === undefined && content === undefined;
  return typeof id === 'string' && (type === 'item_reference' || isUntyped) ? id : null;
}

/**
 * An item with its type and an id, and with text in parts, as OpenAI lists input items. The id is always ours: one that the
 * client wrote would lead to no response, and two of its items may have the same, in which paging would go in circles.
 */
export function identified(item: Item, suffix: string, index: number): Item {
  const type = item.type ?? 'message';
  const id = inputItemId(type, suffix, index);
  if (type !== 'message' || typeof item.content !== 'string') return { ...item, type, id };
  const part =
    item.role === 'assistant'
      ? { type: 'output_text', text: item.content, annotations: [] }
      : { type: 'input_text', text: item.content };
  return { status: 'completed', ...item, type, id, content: [part] };
}
