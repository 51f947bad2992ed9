/**
 * Carries a new secret across the redirect to the page that shows it, encrypted in a cookie that lives for five minutes
 * and is deleted when the page is first shown. The server stores no copy, so none can leak from it.
 */
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { EncryptJWT, jwtDecrypt } from 'jose';
import { config } from '../../env.ts';
import { acceptedSecrets } from '../../lib/rotation.ts';
import type { PortalContext } from './context.ts';

const COOKIE = 'shown_once';
const LIFETIME_S = 300;

export type SecretKind =
  | 'api_key'
  | 'join_token'
  | 'webhook_secret'
  | 'operator_token'
  | 'second_factor'
  | 'backup_codes';

export interface Secret {
  readonly text: string;
  /** shown beside the secret: the key's name, the token's expiry */
  readonly note: string;
}

/** Puts the secret into a cookie of the response. Only `subject`, an account's or a person's id, gets to see it. */
export async function carrySecret(
  c: PortalContext,
  secret: Secret & { kind: SecretKind; subject: string },
): Promise<void> {
  const token = await new EncryptJWT({ text: secret.text, note: secret.note })
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
    .setAudience(secret.kind)
    .setSubject(secret.subject)
    .setIssuedAt()
    .setExpirationTime(`${LIFETIME_S} seconds`)
    .encrypt(await encryptionKey(config(c.env).authSecret));
  setCookie(c, COOKIE, token, { ...attributes(c), maxAge: LIFETIME_S });
}

/** Reads the secret of that kind from the request's cookie, and deletes the cookie. @returns null: there is none */
export async function takeSecret(
  c: PortalContext,
  which: { kind: SecretKind; subject: string },
): Promise<Secret | null> {
  const token = getCookie(c, COOKIE, prefix(c));
  if (!token) return null;
  const { authSecret, beside } = config(c.env);
  for (const secret of acceptedSecrets(authSecret, beside.AUTH_SECRET)) {
    try {
      const { payload } = await jwtDecrypt<{ text: string; note: string }>(
        token,
        await encryptionKey(secret),
        {
          audience: which.kind,
          subject: which.subject,
          contentEncryptionAlgorithms: ['A256GCM'],
          keyManagementAlgorithms: ['dir'],
        },
      );
      deleteCookie(c, COOKIE, attributes(c));
      return { text: payload.text, note: payload.note };
    } catch {
      // it is under another secret, for another page or account, or has expired: its cookie stays for its five minutes
    }
  }
  return null;
}

/** Derives a key from AUTH_SECRET, so that this cookie does not share the key that signs sessions. */
async function encryptionKey(authSecret: string): Promise<Uint8Array> {
  const text = new TextEncoder();
  const secret = await crypto.subtle.importKey('raw', text.encode(authSecret), 'HKDF', false, ['deriveBits']);
  const derivation = {
    name: 'HKDF',
    hash: 'SHA-256',
    salt: new Uint8Array(),
    info: text.encode('shown-once'),
  };
  return new Uint8Array(await crypto.subtle.deriveBits(derivation, secret, 256));
}

function prefix(c: PortalContext): 'host' | undefined {
  return config(c.env).publicOrigin.startsWith('https://') ? 'host' : undefined;
}

function attributes(c: PortalContext) {
  const host = prefix(c);
  return { path: '/', httpOnly: true, sameSite: 'Lax', secure: host === 'host', prefix: host } as const;
}
