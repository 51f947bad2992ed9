/**
 * Backup codes of the second factor: ten, shown once, each accepted once. D1 has their SHA-256, which suffices without
 * salt or a slow function because a code has 120 random bits. Codes made before were shorter and stored encrypted;
 * they stay valid, and the first use of one replaces the others by their hashes.
 */
import { type SecretConfig, symmetricDecrypt } from 'better-auth/crypto';

const CODES = 10;
const CODE_LENGTH = 24;
const GROUP_LENGTH = 6;
/** 32 letters and digits, without those that are read as others: i, l, o, u. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const HASHED = 'sha256:';

/** Codes such as `q4f7hz-0d9x2m-8ktr5v-w1nc6e`. */
export function newBackupCodes(): string[] {
  return Array.from({ length: CODES }, () => {
    const letters = [...crypto.getRandomValues(new Uint8Array(CODE_LENGTH))].map(
      (byte) => ALPHABET[byte % 32],
    );
    return letters.join('').replace(new RegExp(`.{${GROUP_LENGTH}}(?=.)`, 'g'), '$&-');
  });
}

/** The form in which a typed code is compared: case counts only in the older, shorter codes. */
export async function hashBackupCode(code: string): Promise<string> {
  const letters = code.replace(/[\s-]/g, '');
  const text = letters.length === CODE_LENGTH ? letters.toLowerCase() : letters;
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return HASHED + Buffer.from(digest).toString('base64url');
}

/**
 * better-auth's `storeBackupCodes`: it stores and compares a list, here of hashes. It calls `encrypt` with new codes,
 * and with the hashes that are left when one was used.
 * @param key decrypts lists of older codes
 */
export function hashedBackupCodes(key: () => Promise<string | SecretConfig>) {
  const hashAll = (codes: readonly string[]) =>
    Promise.all(codes.map((code) => (code.startsWith(HASHED) ? code : hashBackupCode(code))));
  return {
    encrypt: async (list: string) => JSON.stringify(await hashAll(JSON.parse(list))),
    decrypt: async (stored: string) => {
      if (stored.startsWith('[')) return stored;
      const list = await symmetricDecrypt({ key: await key(), data: stored });
      return JSON.stringify(await hashAll(JSON.parse(list)));
    },
  };
}
