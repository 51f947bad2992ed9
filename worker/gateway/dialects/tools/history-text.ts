/**
 * Calls and results of tools that a provider ran, or that this API does not know, in a conversation that is sent back. A model
 * reads them as text in their place; what only their provider can read is left out.
 */

/** Members that say nothing to a model: labels, and what is encrypted or signed for its provider. */
const UNREADABLE =
  /^(?:type|id|.*_id|index|signature|fingerprint|caller|created_by|execution|cache_control|encrypted_.*|.*_sha256|annotations|citations|logprobs)$/;
/** Types that carry nothing to read, whatever is in them: lists of tools, settings, and state that a provider keeps. */
const SILENT = new Set(['mcp_list_tools', 'compaction_trigger', 'configuration_update']);
/**
 * The longest text of one item, in characters. Results of tools are pages, files and logs, which agents cut themselves at a
 * tenth of it; more in one item would leave no room for the conversation.
 */
const ITEM_LENGTH_MAX = 128 << 10;
/** Deeper values are left out: the text is for reading, and walking it must end. */
const DEPTH_MAX = 16;

/** The item's text; null: it has nothing that a model could read. `isCut`: the text is not all of it. */
export function historyText(
  item: Readonly<Record<string, unknown>>,
): { text: string; isCut: boolean } | null {
  const type = String(item.type);
  if (SILENT.has(type)) return null;
  const lines = Object.entries(item).flatMap(([name, value]) => {
    const text = readable(name, value);
    return text === '' ? [] : [`${name}: ${text}`];
  });
  // That a result came says something, too.
  if (lines.length === 0 && type.endsWith('_output') && item.status) lines.push(`status: ${item.status}`);
  if (lines.length === 0) return null;
  const text = `[${type}]\n${lines.join('\n')}`;
  const left = text.length - ITEM_LENGTH_MAX;
  if (left <= 0) return { text, isCut: false };
  return { text: `${text.slice(0, ITEM_LENGTH_MAX).toWellFormed()}… (${left} more characters)`, isCut: true };
}

/** A top-level string is shown as it is, everything else as JSON without what says nothing. */
function readable(name: string, value: unknown): string {
  const pruned = prune(name, value, 1);
  if (pruned === undefined) return '';
  if (typeof pruned === 'string') return pruned;
  const only = onlyText(pruned);
  return only ?? JSON.stringify(pruned);
}

/** The text of a list of text parts, which needs no JSON around it. */
function onlyText(value: unknown): string | null {
  if (!Array.isArray(value)) return null;
  const texts = value.map((part) =>
    typeof part === 'object' && part !== null && Object.keys(part).length === 1 ? part.text : null,
  );
  return texts.every((text) => typeof text === 'string') ? texts.join('\n') : null;
}

/** The value without what says nothing; undefined: nothing is left. */
function prune(name: string, value: unknown, depth: number): unknown {
  if (value === null || UNREADABLE.test(name) || depth > DEPTH_MAX) return undefined;
  if (name === 'status' && value !== 'failed') return undefined;
  if (typeof value === 'string') return isOpaque(value) ? undefined : value;
  if (Array.isArray(value)) {
    const items = value.map((item) => prune('', item, depth + 1)).filter((item) => item !== undefined);
    return items.length > 0 ? items : undefined;
  }
  if (typeof value !== 'object') return value;
  const entries = Object.entries(value).flatMap(([key, member]) => {
    const pruned = prune(key, member, depth + 1);
    return pruned === undefined ? [] : [[key, pruned] as const];
  });
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

/** Empty, or data of an image or another file. */
function isOpaque(text: string): boolean {
  if (text === '' || /^data:[^,]{0,256},/.test(text)) return true;
  return text.length >= OPAQUE_LENGTH && /^[\w+/=-]+$/.test(text);
}

/** Base64 is told from words by its length: no word of any language, and hardly a name, is as long. */
const OPAQUE_LENGTH = 256;
