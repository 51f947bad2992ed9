/** The salt that keeps one account's prefix cache from another's: what is cached for a tenant is found by it alone. */
import { pepperKey } from '../db/keys.ts';
import { config, type Env } from '../env.ts';
import { TtlCache } from './ttl-cache.ts';

const salts = new TtlCache<string, string>({ ttlMs: 3_600_000, sizeMax: 10_000 });

/** 32 hex digits: SGLang joins salt and key without a delimiter, so the length is fixed (sglang docs, `cache_salt`). */
export async function cacheSalt(env: Env, accountId: string): Promise<string> {
  const known = salts.get(accountId, Date.now());
  if (known) return known;
  const message = new TextEncoder().encode(`cache-salt:${accountId}`);
  const digest = new Uint8Array(await crypto.subtle.sign('HMAC', await pepperKey(config(env)), message));
  const salt = [...digest.subarray(0, 16)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  salts.set(accountId, salt, Date.now());
  return salt;
}
