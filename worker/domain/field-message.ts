/** Zod's message about a field, as the sentence that clients read. */

/**
 * @param field as clients write it, such as `messages[0].content`
 * @param message zod's own, or one of ours that goes on after the field's name: `must be …`
 */
export function fieldMessage(field: string, message: string): string {
  if (message.endsWith('received undefined')) return `\`${field}\` is required.`;
  const text = message.replace(/^Invalid input: /, '');
  if (/^(must|is|has) /.test(text)) return `\`${field}\` ${text}.`;
  return `\`${field}\`: ${text.charAt(0).toLowerCase()}${text.slice(1)}.`;
}
