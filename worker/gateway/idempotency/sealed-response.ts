/**
 * Responses stored for retries. They are compressed, then encrypted under a key that only the caller can derive, so
 * nobody can read a stored response, us included, until the same caller repeats the request with the same idempotency
 * key.
 */
import type { Env } from '../../env.ts';
import { hex, keyedHash, otherKeyedHashes } from '../keyed-hash.ts';

/** Values derived from one idempotency key of one caller. None of them can be traced back to the key or the body. */
export interface Seal {
  /** The Wallet's lookup key: keyed hash of account and idempotency key. */
  readonly lookup: string;
  /** Keyed hash of API key or token and body; equal for equal requests. */
  readonly fingerprint: string;
  /** The two hashes under every other accepted pepper. */
  readonly others: readonly { readonly lookup: string; readonly fingerprint: string }[];
  /** The AES-256-GCM key of the response. */
  readonly key: CryptoKey;
}

/** Sealed responses are stored in parts, because SQLite in a Durable Object limits a value to 2 MB. */
const PART_BYTES = 1_000_000;

export async function sealFor(
  env: Env,
  caller: { accountId: string; secret: string; idempotencyKey: string; body: Uint8Array },
): Promise<Seal> {
  const { accountId, secret, idempotencyKey, body } = caller;
  const bodyHash = hex(await crypto.subtle.digest('SHA-256', body));
  const root = await crypto.subtle.importKey('raw', utf8(secret), 'HKDF', false, ['deriveKey']);
  const salt = utf8(`replay:${accountId}:${idempotencyKey}`);
  const lookupText = `lookup:${accountId}:${idempotencyKey}`;
  const bodyText = `body:${secret}:${bodyHash}`;
  const otherFingerprints = await otherKeyedHashes(env, bodyText);
  const otherLookups = await otherKeyedHashes(env, lookupText);
  return {
    lookup: await keyedHash(env, lookupText),
    fingerprint: await keyedHash(env, bodyText),
    others: otherLookups.map((lookup, i) => ({ lookup, fingerprint: otherFingerprints[i]! })),
    key: await crypto.subtle.deriveKey(
      { name: 'HKDF', hash: 'SHA-256', salt, info: utf8('tollgate replay') },
      root,
      { name: 'AES-GCM', length: 256 },
      false,
      ['encrypt', 'decrypt'],
    ),
  };
}

/** Records the text of a response while it is sent. `seal` then returns the parts to store: the IV, then the ciphertext. */
export class ResponseRecorder {
  readonly #compressed: Promise<ArrayBuffer>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor() {
    const gzip = new CompressionStream('gzip');
    this.#writer = gzip.writable.getWriter() as WritableStreamDefaultWriter<Uint8Array>;
    this.#compressed = new Response(gzip.readable).arrayBuffer();
  }

  write(text: string): void {
    void this.#writer.write(utf8(text));
  }

  async seal(seal: Seal): Promise<Uint8Array[]> {
    await this.#writer.close();
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const sealed = new Uint8Array(
      await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, seal.key, await this.#compressed),
    );
    const parts = [iv];
    for (let at = 0; at < sealed.length; at += PART_BYTES) parts.push(sealed.slice(at, at + PART_BYTES));
    return parts;
  }
}

/** The recorded text, as a stream. @throws when another caller's key is used or a byte was changed */
export async function unseal(
  seal: Seal,
  [iv, ...parts]: readonly Uint8Array[],
): Promise<ReadableStream<Uint8Array>> {
  const sealed = await new Blob(parts as unknown as ArrayBuffer[]).arrayBuffer();
  const compressed = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: iv! }, seal.key, sealed);
  return new Response(compressed).body!.pipeThrough(new DecompressionStream('gzip'));
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
