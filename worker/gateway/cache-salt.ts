/** The salt that keeps one account's prefix cache from another's: what is cached for a tenant is found by it alone. */
import type { Env } from '../env.ts';
import { TtlCache } from '../lib/ttl-cache.ts';
import { keyedHash } from './keyed-hash.ts';

const salts = new TtlCache<string, string>({ ttlMs: 3_600_000, sizeMax: 10_000 });

/** 32 hex digits: SGLang joins salt and key without a delimiter, so the length is fixed (sglang docs, `cache_salt`). */
export async function cacheSalt(env: Env, accountId: string): Promise<string> {
  const known = salts.get(accountId, Date.now());
  if (known) return known;
  const salt = (await keyedHash(env, `cache-salt:${accountId}`)).slice(0, 32);
  salts.set(accountId, salt, Date.now());
  return salt;
}
