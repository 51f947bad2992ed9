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
export function newId(
  prefix: IdPrefix,
  nowMs: number,
  bytes = crypto.getRandomValues(new Uint8Array(10)),
): string {
  let time = '';
  for (let left = nowMs, i = 0; i < 10; i++, left = Math.floor(left / 32)) time = CROCKFORD[left % 32] + time;
  let chance = '';
  for (let i = 0; i < 10; i += 5) {
    let chunk = bytes.subarray(i, i + 5).reduce((sum, byte) => sum * 256 + byte, 0);
    let part = '';
    for (let j = 0; j < 8; j++, chunk = Math.floor(chunk / 32)) part = CROCKFORD[chunk % 32] + part;
    chance += part;
  }
  return `${prefix}_${time}${chance}`;
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
