/**
 * API keys: `sk-tg-`, 40 random base62 characters, and 6 characters of checksum. The checksum lets the edge refuse a
 * typo without a look-up, and lets secret scanners tell a leaked key from noise. Only a keyed hash is stored.
 */

const PREFIX = 'sk-tg-';
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const RANDOM_LENGTH = 40;
const CHECKSUM_LENGTH = 6;
const SHAPE = new RegExp(`^${PREFIX}[0-9A-Za-z]{${RANDOM_LENGTH + CHECKSUM_LENGTH}}$`);

/** Makes a key from the runtime's cryptographic random source. */
export function newApiKey(): string {
  let random = '';
  while (random.length < RANDOM_LENGTH) {
    // 248 is 4 × 62: larger bytes are dropped, as they would make the first characters of the alphabet more likely.
    for (const byte of crypto.getRandomValues(new Uint8Array(64))) {
      if (byte < 248 && random.length < RANDOM_LENGTH) random += BASE62[byte % 62];
    }
  }
  return PREFIX + random + checksum(random);
}

/** Whether `text` has the shape and checksum of a key; the key need not exist. */
export function isWellFormedApiKey(text: string): boolean {
  if (!SHAPE.test(text)) return false;
  const random = text.slice(PREFIX.length, PREFIX.length + RANDOM_LENGTH);
  return checksum(random) === text.slice(-CHECKSUM_LENGTH);
}

/** A key as it is displayed after its creation, when it was shown in full for the only time. */
export function maskedApiKey(lastFour: string): string {
  return `${PREFIX}…${lastFour}`;
}

/** HMAC-SHA-256 of the key under the pepper, base64url. The database holds only this hash. */
export async function hashApiKey(key: string, pepper: CryptoKey): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.sign('HMAC', pepper, new TextEncoder().encode(key)));
  return btoa(String.fromCharCode(...digest)).replace(/[+/=]/g, (c) => ({ '+': '-', '/': '_' })[c] ?? '');
}

/** CRC-32 (IEEE) in six base62 digits, as in GitHub's tokens. */
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
