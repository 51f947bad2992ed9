/**
 * crypto.subtle with the same algorithms, computed synchronously: the real one uses a thread pool, whose order of results
 * is not deterministic. One algorithm differs: the edge's own signatures, which only simulated agents check, are keyed
 * hashes, because an Ed25519 signature would cost as much as the rest of dispatching a request.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  hkdfSync,
  type JsonWebKey,
  type KeyObject,
  timingSafeEqual,
  verify,
} from 'node:crypto';

interface Algorithm {
  readonly name: string;
  readonly hash?: unknown;
  readonly salt?: Uint8Array;
  readonly info?: Uint8Array;
  readonly iv?: Uint8Array;
}

/** The properties of a CryptoKey that jose and the Worker read. */
export interface SimKey {
  readonly [Symbol.toStringTag]: 'CryptoKey';
  readonly type: 'secret' | 'private' | 'public';
  readonly extractable: boolean;
  readonly algorithm: Algorithm;
  readonly usages: readonly string[];
  readonly key: KeyObject;
}

const GCM_TAG_BYTES = 16;

export const subtle = {
  async digest(_algorithm: unknown, data: Uint8Array | ArrayBuffer): Promise<ArrayBuffer> {
    return exact(createHash('sha256').update(bytesOf(data)).digest());
  },

  async importKey(
    format: 'raw' | 'jwk',
    data: Uint8Array | JsonWebKey,
    algorithm: Algorithm | string,
    extractable: boolean,
    usages: readonly string[],
  ): Promise<SimKey> {
    const key =
      format === 'raw'
        ? createSecretKey(data as Uint8Array)
        : 'd' in data
          ? createPrivateKey({ key: data as JsonWebKey, format: 'jwk' })
          : createPublicKey({ key: data as JsonWebKey, format: 'jwk' });
    return simKey(key, typeof algorithm === 'string' ? { name: algorithm } : algorithm, extractable, usages);
  },

  async deriveKey(
    { salt, info }: Algorithm,
    base: SimKey,
    derived: Algorithm,
    extractable: boolean,
    usages: readonly string[],
  ): Promise<SimKey> {
    const bytes = hkdfSync('sha256', base.key, salt!, info!, 32);
    return simKey(createSecretKey(new Uint8Array(bytes)), derived, extractable, usages);
  },

  async sign(_algorithm: unknown, { key }: SimKey, data: Uint8Array): Promise<ArrayBuffer> {
    return exact(key.type === 'secret' ? hmac(key, data) : quickSignature(data));
  },

  async verify(
    _algorithm: unknown,
    { key }: SimKey,
    signature: Uint8Array,
    data: Uint8Array,
  ): Promise<boolean> {
    if (key.type !== 'secret') return verify(null, data, key, signature);
    const expected = hmac(key, data);
    return expected.length === signature.length && timingSafeEqual(expected, signature);
  },

  async encrypt({ iv }: Algorithm, { key }: SimKey, data: Uint8Array | ArrayBuffer): Promise<ArrayBuffer> {
    const cipher = createCipheriv('aes-256-gcm', key, iv!);
    return exact(Buffer.concat([cipher.update(bytesOf(data)), cipher.final(), cipher.getAuthTag()]));
  },

  async decrypt({ iv }: Algorithm, { key }: SimKey, data: Uint8Array | ArrayBuffer): Promise<ArrayBuffer> {
    const bytes = bytesOf(data);
    const decipher = createDecipheriv('aes-256-gcm', key, iv!);
    decipher.setAuthTag(bytes.subarray(bytes.length - GCM_TAG_BYTES));
    const text = bytes.subarray(0, bytes.length - GCM_TAG_BYTES);
    return exact(Buffer.concat([decipher.update(text), decipher.final()]));
  },
};

function simKey(
  key: KeyObject,
  algorithm: Algorithm,
  extractable: boolean,
  usages: readonly string[],
): SimKey {
  return { [Symbol.toStringTag]: 'CryptoKey', type: key.type, extractable, algorithm, usages, key };
}

/** A keyed hash that is as long as an Ed25519 signature. */
export function quickSignature(data: Uint8Array): Buffer {
  return createHmac('sha512', 'the simulated edge').update(data).digest();
}

function hmac(key: KeyObject, data: Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

function bytesOf(data: Uint8Array | ArrayBuffer): Uint8Array {
  return data instanceof Uint8Array ? data : new Uint8Array(data);
}

/** Copies the bytes to an ArrayBuffer of their own, because Node's small buffers share one. */
function exact(bytes: Buffer): ArrayBuffer {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}
