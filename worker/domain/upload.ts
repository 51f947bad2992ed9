/** The forms of an uploaded file: lines of text, by its name and by its first bytes. */

/** The largest request body that Cloudflare accepts on its Free and Pro plans. */
export const FILE_BYTES_MAX = 100 * 1024 * 1024;

/** Endings that programs give to lines of JSON. A name without one, as of a form's `blob`, is fine. */
export const FILE_EXTENSIONS = ['jsonl', 'ndjson', 'json', 'txt'] as const;

export function hasFileExtension(name: string): boolean {
  const extension = /\.([^.]*)$/.exec(name)?.[1];
  return extension === undefined || FILE_EXTENSIONS.some((each) => each === extension.toLowerCase());
}

/** Archives, images and programs show themselves in their first bytes; so much is looked at. */
const LOOKED_AT_BYTES = 4_096;
const WHITE_SPACE: ReadonlySet<number> = new Set([0x09, 0x0a, 0x0d]);

/** Whether the beginning of a file has no control characters, which JSON escapes and every compressed format has. */
export function isText(beginning: Uint8Array): boolean {
  return beginning.subarray(0, LOOKED_AT_BYTES).every((byte) => byte >= 0x20 || WHITE_SPACE.has(byte));
}
