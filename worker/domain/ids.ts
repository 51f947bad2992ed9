/** Ids: a prefix that names the kind, then 26 characters that sort by time (48 bits of milliseconds, 80 random bits). */

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

export type IdPrefix =
  | 'req'
  | 'acct'
  | 'key'
  | 'node'
  | 'join'
  | 'order'
  | 'evt'
  | 'audit'
  | 'note'
  | 'dlv'
  | 'hook'
  | 'file'
  | 'batch'
  | 'tok'
  | 'inv'
  | 'ltr'
  | 'lease'
  | 'optok'
  | 'ref';

/** @param bytes ten random bytes */
export function newId(prefix: IdPrefix, nowMs: number, bytes = tenRandomBytes()): string {
  const time = digits(Math.floor(nowMs / 2 ** 20), 6) + digits(nowMs % 2 ** 20, 4);
  return `${prefix}_${time}${encodeFiveBytes(bytes, 0)}${encodeFiveBytes(bytes, 5)}`;
}

/** Random bytes are drawn for a hundred ids at once: a call of the random source costs more than making an id. */
let random = new Uint8Array(0);
let used = 0;

function tenRandomBytes(): Uint8Array {
  if (used + 10 > random.length) {
    random = crypto.getRandomValues(new Uint8Array(1_000));
    used = 0;
  }
  used += 10;
  return random.subarray(used - 10, used);
}

/** Encodes five bytes as eight digits, twenty bits at a time because shifts work on 32 bits. */
function encodeFiveBytes(bytes: Uint8Array, at: number): string {
  const middle = bytes[at + 2]!;
  const high = (bytes[at]! << 12) | (bytes[at + 1]! << 4) | (middle >> 4);
  const low = ((middle & 15) << 16) | (bytes[at + 3]! << 8) | bytes[at + 4]!;
  return digits(high, 4) + digits(low, 4);
}

function digits(bits: number, count: number): string {
  let text = '';
  for (let shift = 5 * (count - 1); shift >= 0; shift -= 5) text += CROCKFORD[(bits >>> shift) & 31];
  return text;
}

/** So many random characters of five bits each, as a secret that is part of an id. */
export function randomText(length: number): string {
  return [...crypto.getRandomValues(new Uint8Array(length))].map((byte) => CROCKFORD[byte & 31]).join('');
}

/** Whether `text` has the shape of an id of that kind; it is checked before any look-up. */
export function isId(prefix: IdPrefix, text: string): boolean {
  return text.length === prefix.length + 27 && new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`).test(text);
}

/** When an id was made (ms), by the clock of the isolate that made it. @returns NaN when `id` is not an id */
export function timeOfId(id: string): number {
  const time = id.slice(id.indexOf('_') + 1).slice(0, 10);
  return [...time].reduce((ms, char) => ms * 32 + indexOf(char), 0);
}

/** The smallest id that can be made at `atMs`: ids made then or later sort at or after it. */
export function firstIdAt(prefix: IdPrefix, atMs: number): string {
  return newId(prefix, Math.max(0, atMs), new Uint8Array(10));
}

/** The next id in order, of those that can be written: no id lies between the two. */
export function idAfter(id: string): string {
  const last = [...id].findLastIndex((char) => indexOf(char) < CROCKFORD.length - 1);
  const next = CROCKFORD[indexOf(id[last]!) + 1]!;
  return `${id.slice(0, last)}${next}`.padEnd(id.length, CROCKFORD[0]);
}

function indexOf(char: string): number {
  const at = CROCKFORD.indexOf(char);
  return at < 0 ? Number.NaN : at;
}
