/**
 * The secret that signs an endpoint's webhooks. It is derived from AUTH_SECRET, the endpoint and a version, and stored
 * sealed, so that it outlives the AUTH_SECRET from which it was derived and a copy of the database cannot sign anything.
 */
import { database } from '../../db/client.ts';
import type { WebhookEndpointRow } from '../../db/webhook-endpoints.ts';
import { findSealedSecret, keepSealedSecret, secretMadeAtMs } from '../../db/webhook-secrets.ts';
import { config, type Env } from '../../env.ts';
import { acceptedSecrets, oldestSecret } from '../../lib/rotation.ts';
import { SECRET_PREFIX } from '../../lib/standard-webhooks.ts';
import { seal, unseal } from '../../tokens/seal.ts';

type Endpoint = Pick<WebhookEndpointRow, 'id' | 'secretVersion'>;

const PURPOSE = 'webhook endpoint';

/** @returns `whsec_` and 32 bytes as base64, the notation of Standard Webhooks */
export async function endpointSecret(env: Env, endpoint: Endpoint): Promise<string> {
  const { authSecret, beside } = config(env);
  const sealed = await findSealedSecret(database(env), endpoint);
  if (sealed === null) return derivedSecret(oldestSecret(authSecret, beside.AUTH_SECRET), endpoint);
  const secrets = acceptedSecrets(authSecret, beside.AUTH_SECRET);
  return unseal(sealed, { secrets, purpose: PURPOSE });
}

/** Stores the secret sealed under the AUTH_SECRET in use: a new one, or one that is still under an earlier one. */
export async function keepEndpointSecret(env: Env, endpoint: Endpoint, nowMs: number): Promise<string> {
  const secret = await endpointSecret(env, endpoint);
  const sealed = await seal(secret, { secret: config(env).authSecret, purpose: PURPOSE });
  await keepSealedSecret(database(env), { ...endpoint, sealed, nowMs });
  return secret;
}

async function derivedSecret(authSecret: string, { id, secretVersion }: Endpoint): Promise<string> {
  const text = new TextEncoder();
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', text.encode(authSecret), algorithm, false, ['sign']);
  const name = text.encode(`webhook-endpoint/${id}/${secretVersion}`);
  const bytes = new Uint8Array(await crypto.subtle.sign('HMAC', key, name));
  return SECRET_PREFIX + btoa(String.fromCharCode(...bytes));
}

/** A receiver is changed over within a working day; after it, a secret that others may know proves nothing any more. */
const OVERLAP_MS = 24 * 3_600_000;

/**
 * The current secret, and for a day its predecessor, so that a receiver can change over without missing a webhook.
 * Signing with both is safe, because the receiver decides which of them it trusts ("signing with multiple keys, even
 * compromised ones, doesn't diminish the security of the scheme", Standard Webhooks 1.0.0).
 */
export async function signingSecrets(env: Env, endpoint: Endpoint, nowMs: number): Promise<string[]> {
  const { id, secretVersion } = endpoint;
  if (secretVersion === 1) return [await endpointSecret(env, endpoint)];
  const madeAtMs = await secretMadeAtMs(database(env), endpoint);
  if (madeAtMs !== null && nowMs >= madeAtMs + OVERLAP_MS) return [await endpointSecret(env, endpoint)];
  // the day of a version whose beginning is not known begins now
  if (madeAtMs === null) await keepEndpointSecret(env, endpoint, nowMs);
  const versions = [secretVersion, secretVersion - 1];
  return Promise.all(versions.map((version) => endpointSecret(env, { id, secretVersion: version })));
}
