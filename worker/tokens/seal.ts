/** Sealed texts: encrypted under a secret of the edge, so that a copy of the database reveals nothing. */
import { CompactEncrypt, compactDecrypt } from 'jose';
import { secretId } from './secret-id.ts';

/**
 * Seals a text under the secret.
 * @param purpose what it is for; a text that was sealed for one purpose opens for no other
 * @returns a compact JWE whose header names the secret
 */
export async function seal(
  text: string,
  { secret, purpose }: { secret: string; purpose: string },
): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: secretId(secret) })
    .encrypt(await sealingKey(secret, purpose));
}

/** @throws when it was sealed under none of the secrets, for another purpose, or was changed */
export async function unseal(
  sealed: string,
  { secrets, purpose }: { secrets: readonly string[]; purpose: string },
): Promise<string> {
  const { plaintext } = await compactDecrypt(
    sealed,
    ({ kid }) => {
      const secret = secrets.find((each) => secretId(each) === kid);
      if (secret === undefined) throw new Error('sealed under a secret that is not accepted (any more)');
      return sealingKey(secret, purpose);
    },
    { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: ['A256GCM'] },
  );
  return new TextDecoder().decode(plaintext);
}

/** How a text that was sealed under the secret begins: by it the database tells which are still under another. */
export function sealedPrefix(secret: string): string {
  const header = JSON.stringify({ alg: 'dir', enc: 'A256GCM', kid: secretId(secret) });
  return `${btoa(header).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}.`;
}

async function sealingKey(secret: string, purpose: string): Promise<Uint8Array> {
  const text = new TextEncoder();
  const key = await crypto.subtle.importKey('raw', text.encode(secret), 'HKDF', false, ['deriveBits']);
  const derivation = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: text.encode(purpose) };
  return new Uint8Array(await crypto.subtle.deriveBits(derivation, key, 256));
}
