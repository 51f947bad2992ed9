/**
 * Webhook signatures by the Standard Webhooks specification (standardwebhooks.com, v1): HMAC-SHA-256 over
 * `id.timestamp.body`, base64. Id and time are signed too, so an event can be neither renamed nor replayed much later.
 */

/** How far `webhook-timestamp` may be from now, in either direction. */
export const TOLERANCE_MS = 5 * 60_000;

export const SECRET_PREFIX = 'whsec_';

export type SignatureFault = 'signature_missing' | 'signature_mismatch' | 'timestamp_out_of_tolerance';

interface Message {
  readonly id: string;
  /** Unix time in whole seconds, as in the header. */
  readonly timestamp: string;
  readonly body: Uint8Array;
}

/** The headers to send with a message. */
export async function signWebhook(secret: string, message: Message): Promise<Record<string, string>> {
  const digest = new Uint8Array(await crypto.subtle.sign('HMAC', await keyOf(secret), signedBytes(message)));
  return {
    'webhook-id': message.id,
    'webhook-timestamp': message.timestamp,
    'webhook-signature': `v1,${btoa(String.fromCharCode(...digest))}`,
  };
}

/**
 * @param secrets any of them may have signed: there are several while one is rotated
 * @returns the message's id, or the reason why the signature is not accepted
 */
export async function verifyWebhookSignature(
  secrets: readonly string[],
  { headers, body, nowMs }: { headers: Headers; body: Uint8Array; nowMs: number },
): Promise<{ ok: true; id: string } | { ok: false; reason: SignatureFault }> {
  const id = headers.get('webhook-id') ?? '';
  const timestamp = headers.get('webhook-timestamp') ?? '';
  const signatures = v1Signatures(headers.get('webhook-signature') ?? '');
  // Neither part may contain the dot that separates them, or two different messages could have the same signature.
  if (!/^[\w-]{1,128}$/.test(id) || !/^\d{1,12}$/.test(timestamp) || signatures.length === 0) {
    return { ok: false, reason: 'signature_missing' };
  }
  const keys = await Promise.all(secrets.map(keyOf));
  const bytes = signedBytes({ id, timestamp, body });
  // `verify` compares in constant time.
  const matches = await Promise.all(
    keys.flatMap((key) => signatures.map((signature) => crypto.subtle.verify('HMAC', key, signature, bytes))),
  );
  if (!matches.includes(true)) return { ok: false, reason: 'signature_mismatch' };
  // The time is checked only now, because an unsigned one proves nothing.
  if (Math.abs(nowMs - Number(timestamp) * 1_000) > TOLERANCE_MS) {
    return { ok: false, reason: 'timestamp_out_of_tolerance' };
  }
  return { ok: true, id };
}

/**
 * The v1 signatures of the header. During a rotation a sender signs with both
 * secrets: `v1,… v1,…`. At most four are read.
 */
function v1Signatures(header: string): Uint8Array[] {
  return header
    .split(' ', 4)
    .filter((part) => /^v1,[A-Za-z0-9+/]{43}=$/.test(part))
    .map((part) => Uint8Array.from(atob(part.slice(3)), (character) => character.charCodeAt(0)));
}

function signedBytes({ id, timestamp, body }: Message): Uint8Array {
  const head = new TextEncoder().encode(`${id}.${timestamp}.`);
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

/**
 * The HMAC key of a secret. In the specification's form, `whsec_` and base64, it is the decoded bytes; any other secret is
 * used as its UTF-8 bytes.
 * @throws Error when the secret is short: with an empty one, anyone can sign (new-api, CVE-2026-41432)
 */
function keyOf(secret: string): Promise<CryptoKey> {
  if (secret.length < 16) throw new Error('a webhook secret must have at least 16 characters');
  const bytes = secret.startsWith(SECRET_PREFIX)
    ? Uint8Array.from(atob(secret.slice(SECRET_PREFIX.length)), (character) => character.charCodeAt(0))
    : new TextEncoder().encode(secret);
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);
}
