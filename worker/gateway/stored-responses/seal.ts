/**
 * Sealing of stored responses. A response is compressed, then encrypted under a key that follows from its id, and is found by
 * a hash of its id and of whoever may use it. We keep neither ids nor keys, so what is stored can be read only by a caller
 * that presents the id together with a key of the same account and lineage. Rotating a key, or taking a fresh client token,
 * changes nothing.
 */
import type { Principal } from '../../http/authenticate.ts';
import { hex } from '../keyed-hash.ts';

/** The callers that may use a response: one account's, with one key, its successors by rotation, or their client tokens. */
export interface Scope {
  readonly accountId: string;
  readonly lineageId: string;
}

export function scopeOf({
  accountId,
  keyId,
  limits,
}: Pick<Principal, 'accountId' | 'keyId' | 'limits'>): Scope {
  return { accountId, lineageId: limits.shared?.lineageId ?? keyId };
}

const NONCE_BYTES = 12;

/** The hash under which a response is found. */
export async function lookupOf({ accountId, lineageId }: Scope, responseId: string): Promise<string> {
  return hex(await crypto.subtle.digest('SHA-256', utf8(`response:${accountId}:${lineageId}:${responseId}`)));
}

/** The AES-256-GCM key of a response. */
export async function keyOf({ accountId, lineageId }: Scope, responseId: string): Promise<CryptoKey> {
  const root = await crypto.subtle.importKey('raw', utf8(responseId), 'HKDF', false, ['deriveKey']);
  const salt = utf8(`response:${accountId}:${lineageId}`);
  return crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt, info: utf8('tollgate stored response') },
    root,
    { name: 'AES-GCM', length: 256 },
    false,
    ['encrypt', 'decrypt'],
  );
}

/** Nonce and ciphertext of a text. */
export async function seal(key: CryptoKey, text: string): Promise<Uint8Array> {
  const compressed = await through(new CompressionStream('gzip'), utf8(text));
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv: nonce }, key, compressed);
  const bytes = new Uint8Array(NONCE_BYTES + sealed.byteLength);
  bytes.set(nonce);
  bytes.set(new Uint8Array(sealed), NONCE_BYTES);
  return bytes;
}

/** @throws when the key is another response's, or a byte was changed */
export async function unseal(key: CryptoKey, bytes: Uint8Array): Promise<string> {
  const nonce = bytes.slice(0, NONCE_BYTES);
  const sealed = bytes.slice(NONCE_BYTES);
  const compressed = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: nonce }, key, sealed);
  return new TextDecoder().decode(await through(new DecompressionStream('gzip'), new Uint8Array(compressed)));
}

function through(
  transform: CompressionStream | DecompressionStream,
  bytes: Uint8Array,
): Promise<ArrayBuffer> {
  const source = new Response(bytes as Uint8Array<ArrayBuffer>).body!;
  return new Response(source.pipeThrough(transform)).arrayBuffer();
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
}
