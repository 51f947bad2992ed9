/**
 * The key under which it is remembered which inboxes had trial credit. It begins as the pepper, and outlives it: the
 * inboxes of closed accounts are known by their hashes alone, so another key would forget them and grant again.
 */
import { database } from '../db/client.ts';
import { findSealedKey, keepSealedKey } from '../db/sealed-keys.ts';
import { config, type Env } from '../env.ts';
import { acceptedSecrets, oldestSecret } from '../lib/rotation.ts';
import { seal, sealedPrefix, unseal } from '../tokens/seal.ts';

const NAME = 'trial inboxes';

async function inboxSecret(env: Env): Promise<{ secret: string; sealed: string | null }> {
  const { authSecret, keyPepper, beside } = config(env);
  const sealed = await findSealedKey(database(env), NAME);
  if (sealed === null) return { secret: oldestSecret(keyPepper, beside.KEY_PEPPER), sealed };
  const secrets = acceptedSecrets(authSecret, beside.AUTH_SECRET);
  return { secret: await unseal(sealed, { secrets, purpose: NAME }), sealed };
}

/** HMAC-SHA-256 of a text under the key, base64url. */
export async function inboxHash(env: Env, text: string): Promise<string> {
  const { secret } = await inboxSecret(env);
  const bytes = new TextEncoder();
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', bytes.encode(secret), algorithm, false, ['sign']);
  return Buffer.from(await crypto.subtle.sign('HMAC', key, bytes.encode(text))).toString('base64url');
}

/** Whether the key is still to be sealed under the AUTH_SECRET in use, so that no earlier secret is needed for it. */
export async function inboxKeyIsLeft(env: Env): Promise<boolean> {
  const { sealed } = await inboxSecret(env);
  if (sealed === null) return config(env).beside.KEY_PEPPER.retired.length > 0;
  return !sealed.startsWith(sealedPrefix(config(env).authSecret));
}

export async function keepInboxKey(env: Env, nowMs: number): Promise<void> {
  const { secret } = await inboxSecret(env);
  const sealed = await seal(secret, { secret: config(env).authSecret, purpose: NAME });
  await keepSealedKey(database(env), { name: NAME, sealed, nowMs });
}
