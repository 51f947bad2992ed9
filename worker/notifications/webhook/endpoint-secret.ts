/**
 * The secret that signs an endpoint's webhooks. It is derived from AUTH_SECRET, the endpoint and a version, so that it
 * is stored nowhere and a copy of the database cannot sign anything.
 */

import type { WebhookEndpointRow } from '../../db/webhook-endpoints.ts';
import { config, type Env } from '../../env.ts';
import { SECRET_PREFIX } from '../../lib/standard-webhooks.ts';

type Endpoint = Pick<WebhookEndpointRow, 'id' | 'secretVersion'>;

/** @returns `whsec_` and 32 bytes as base64, the notation of Standard Webhooks */
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
 * The current secret and its predecessor, so that a receiver can change over at any time without missing a webhook.
 * Signing with both is safe, because the receiver decides which of them it trusts ("signing with multiple keys, even
 * compromised ones, doesn't diminish the security of the scheme", Standard Webhooks 1.0.0).
 */
export function signingSecrets(env: Env, { id, secretVersion }: Endpoint): Promise<string[]> {
  const versions = secretVersion > 1 ? [secretVersion, secretVersion - 1] : [secretVersion];
  return Promise.all(versions.map((version) => endpointSecret(env, { id, secretVersion: version })));
}
