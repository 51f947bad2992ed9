/**
 * API keys: `sk-tg-` + 40 base62 characters of chance + 6 of checksum. A typo is refused without a look-up,
 * and secret scanners can tell a leaked key from noise. Only a keyed hash is stored.
 */

const PREFIX = 'sk-tg-';
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const CHANCE_LENGTH = 40;
const CHECKSUM_LENGTH = 6;
const SHAPE = new RegExp(`^${PREFIX}[0-9A-Za-z]{${CHANCE_LENGTH + CHECKSUM_LENGTH}}$`);

/** A new key from the runtime's random source. */
export function newApiKey(): string {
  let chance = '';
  while (chance.length < CHANCE_LENGTH) {
    // 248 = 4 × 62: bytes above it would make the first characters of the alphabet likelier
    for (const byte of crypto.getRandomValues(new Uint8Array(64))) {
      if (byte < 248 && chance.length < CHANCE_LENGTH) chance += BASE62[byte % 62];
    }
  }
  return PREFIX + chance + checksum(chance);
}

/** Whether `text` has the shape and checksum of a key. Says nothing of whether the key exists. */
export function isWellFormedApiKey(text: string): boolean {
  if (!SHAPE.test(text)) return false;
  const chance = text.slice(PREFIX.length, PREFIX.length + CHANCE_LENGTH);
  return checksum(chance) === text.slice(-CHECKSUM_LENGTH);
}

/** What is shown of a key after its first and only showing. */
export function maskedApiKey(lastFour: string): string {
  return `${PREFIX}…${lastFour}`;
}

/** HMAC-SHA-256 under the pepper, base64url: what the database holds. */
export async function hashApiKey(key: string, pepper: CryptoKey): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.sign('HMAC', pepper, new TextEncoder().encode(key)));
  return btoa(String.fromCharCode(...digest)).replace(/[+/=]/g, (c) => ({ '+': '-', '/': '_' })[c] ?? '');
}

/** CRC-32 (IEEE) in base62, as GitHub does for its tokens. */
function checksum(text: string): string {
  let crc = 0xffffffff;
  for (let i = 0; i < text.length; i++) {
    crc ^= text.charCodeAt(i);
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  let value = (crc ^ 0xffffffff) >>> 0;
  let out = '';
  for (let i = 0; i < CHECKSUM_LENGTH; i++, value = Math.floor(value / 62)) out = BASE62[value % 62] + out;
  return out;
}
