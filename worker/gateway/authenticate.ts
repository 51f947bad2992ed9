/** Step 1: who asks. A key becomes a Principal, from the isolate's cache or by one read of D1. */
import { database } from '../db/client.ts';
import { findKeyByHash, findKeyById, type KeyOfAccount, pepperKey } from '../db/keys.ts';
import { hashApiKey, isWellFormedApiKey } from '../domain/api-key.ts';
import type { Limits, ScopedLimits } from '../domain/limits.ts';
import { nanoUsd } from '../domain/money.ts';
import { config, type Env } from '../env.ts';
import type { ApiContext } from './answer-headers.ts';
import type { Refusal } from './refusal.ts';
import { TtlCache } from './ttl-cache.ts';

export interface Principal {
  readonly accountId: string;
  readonly keyId: string;
  /** the key itself: what a kept answer is sealed with. It goes into no log and no call */
  readonly apiKey: string;
  /** model ids; null: all */
  readonly models: readonly string[] | null;
  readonly limits: ScopedLimits;
}

/** A revoked key must be dead within 10 s everywhere; half of that leaves room for clocks and slow reads. */
const KEY_TTL_MS = 5_000;
const keys = new TtlCache<string, KeyOfAccount | null>({ ttlMs: KEY_TTL_MS, sizeMax: 10_000 });

const UNAUTHENTICATED = { reason: 'unauthenticated' } as const satisfies Refusal;

/**
 * Missing, malformed, unknown, revoked and expired keys get the same refusal.
 * A malformed one is refused by its checksum, before any hash or look-up.
 */
export async function authenticate(
  request: Request,
  env: Env,
  nowMs: number,
): Promise<{ ok: true; principal: Principal } | { ok: false; refusal: Refusal }> {
  const key = secretOf(request.headers);
  if (key === 'conflicting') return { ok: false, refusal: { reason: 'conflicting_keys' } };
  if (key === null || !isWellFormedApiKey(key)) return { ok: false, refusal: UNAUTHENTICATED };

  const hash = await hashApiKey(key, await pepperKey(config(env)));
  let row = keys.get(hash, nowMs);
  if (row === undefined) {
    row = await findKeyByHash(database(env), hash);
    keys.set(hash, row, nowMs);
  }
  if (row === null) return { ok: false, refusal: UNAUTHENTICATED };
  if (isDead(row.key, nowMs)) return { ok: false, refusal: UNAUTHENTICATED };
  return { ok: true, principal: toPrincipal(row, key) };
}

/** The same for a route: what the answer says of limits is then that of whoever asked. */
export async function identify(c: ApiContext, nowMs: number) {
  const who = await authenticate(c.req.raw, c.env, nowMs);
  if (who.ok) c.set('principal', who.principal);
  return who;
}

/** For work that goes on after its request: the key as it is now, null when it is revoked or has expired. */
export async function principalOfKey(env: Env, keyId: string, nowMs: number): Promise<Principal | null> {
  const row = await findKeyById(database(env), keyId);
  if (row === null || isDead(row.key, nowMs)) return null;
  // the key itself is known to nobody here, and nothing is sealed with it
  return toPrincipal(row, '');
}

/** OpenAI's way or Anthropic's; null: neither. Two that differ could be taken for one by us and for the other by a proxy. */
function secretOf(headers: Headers): string | 'conflicting' | null {
  const authorization = bearer(headers.get('authorization'));
  const apiKey = headers.get('x-api-key');
  if (authorization !== null && apiKey !== null && authorization !== apiKey) return 'conflicting';
  return authorization ?? apiKey;
}

function bearer(header: string | null): string | null {
  return header?.match(/^bearer ([\x21-\x7e]+)$/i)?.[1] ?? null;
}

function isDead({ revokedAtMs, expiresAtMs }: KeyOfAccount['key'], nowMs: number): boolean {
  return revokedAtMs !== null || (expiresAtMs !== null && expiresAtMs <= nowMs);
}

function toPrincipal({ key, account }: KeyOfAccount, apiKey: string): Principal {
  return {
    accountId: key.accountId,
    apiKey,
    keyId: key.id,
    models: key.models,
    limits: { key: toLimits(key), account: toLimits(account) },
  };
}

function toLimits(row: KeyOfAccount[keyof KeyOfAccount]): Limits {
  const { requestsPerMinute, tokensPerMinute, concurrency, capNanoUsd, capPeriod } = row;
  return {
    requestsPerMinute,
    tokensPerMinute,
    concurrency,
    capNanoUsd: capNanoUsd === null ? null : nanoUsd(capNanoUsd),
    capPeriod,
  };
}
