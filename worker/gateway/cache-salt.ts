/** The salt that separates the prefix caches of accounts: a prefix cached for one tenant can be hit by that tenant only. */
import type { Env } from '../env.ts';
import { TtlCache } from '../lib/ttl-cache.ts';
import { keyedHash } from './keyed-hash.ts';

const salts = new TtlCache<string, string>({ ttlMs: 3_600_000, sizeMax: 10_000 });

/** The account's salt, 32 hex digits: too long to be guessed, and no key of ours tells which account it is. */
export async function cacheSalt(env: Env, accountId: string): Promise<string> {
  const cached = salts.get(accountId, Date.now());
  if (cached) return cached;
  const salt = (await keyedHash(env, `cache-salt:${accountId}`)).slice(0, 32);
  salts.set(accountId, salt, Date.now());
  return salt;
}
