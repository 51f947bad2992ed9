/**
 * What an endpoint's webhooks are signed with: derived from AUTH_SECRET, the endpoint and a version, so that it is
 * stored nowhere and a copy of the database signs nothing.
 */

import type { WebhookEndpointRow } from '../../db/webhook-endpoints.ts';
import { config, type Env } from '../../env.ts';
import { SECRET_PREFIX } from '../../lib/standard-webhooks.ts';

type Endpoint = Pick<WebhookEndpointRow, 'id' | 'secretVersion'>;

/** `whsec_` and 32 bytes as base64, as Standard Webhooks writes secrets. */
export async function endpointSecret(env: Env, { id, secretVersion }: Endpoint): Promise<string> {
  const text = new TextEncoder();
  const key = await crypto.subtle.importKey(
    'raw',
    text.encode(config(env).authSecret),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['sign'],
  );
  const name = text.encode(`webhook-endpoint/${id}/${secretVersion}`);
  const bytes = new Uint8Array(await crypto.subtle.sign('HMAC', key, name));
  return SECRET_PREFIX + btoa(String.fromCharCode(...bytes));
}

/**
 * The secret, and the one before it: a receiver changes over whenever it likes and misses nothing. That costs no
 * safety, because it is the receiver who decides which of them it believes ("signing with multiple keys, even
 * compromised ones, doesn't diminish the security of the scheme", Standard Webhooks 1.0.0).
 */
export function signingSecrets(env: Env, { id, secretVersion }: Endpoint): Promise<string[]> {
  const versions = secretVersion > 1 ? [secretVersion, secretVersion - 1] : [secretVersion];
  return Promise.all(versions.map((version) => endpointSecret(env, { id, secretVersion: version })));
}
