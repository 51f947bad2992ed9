/** Ids: a prefix that says of what, then 26 characters that sort by time (48 bits of ms, 80 of chance). */

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
  | 'lease';

/** @param bytes ten random bytes */
export function newId(prefix: IdPrefix, nowMs: number, bytes = tenRandomBytes()): string {
  const time = digits(Math.floor(nowMs / 2 ** 20), 6) + digits(nowMs % 2 ** 20, 4);
  return `${prefix}_${time}${chance(bytes, 0)}${chance(bytes, 5)}`;
}

/** Asked for by the hundred: a call of the random source costs more than an id. */
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

/** Five bytes as eight digits: twice twenty bits, because shifts know thirty-two. */
function chance(bytes: Uint8Array, at: number): string {
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

/** Whether `text` has the shape of an id of that kind: checked before any look-up. */
export function isId(prefix: IdPrefix, text: string): boolean {
  return text.length === prefix.length + 27 && new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`).test(text);
}

/** When an id was made, by the clock of its maker. @returns NaN for what is no id */
export function timeOfId(id: string): number {
  const time = id.slice(id.indexOf('_') + 1).slice(0, 10);
  return [...time].reduce((ms, char) => ms * 32 + indexOf(char), 0);
}

/** The least id that can be made at that time: what sorts from it on is as young or younger. */
export function firstIdAt(prefix: IdPrefix, atMs: number): string {
  return newId(prefix, Math.max(0, atMs), new Uint8Array(10));
}

function indexOf(char: string): number {
  const at = CROCKFORD.indexOf(char);
  return at < 0 ? Number.NaN : at;
}
