/** Step 1: who asks. A key or a short-lived token becomes a Principal, from the isolate's cache or by one read of D1. */
import { database } from '../db/client.ts';
import { findKeyByHash, findKeyById, type KeyOfAccount } from '../db/keys.ts';
import { hashApiKey, isWellFormedApiKey } from '../domain/api-key.ts';
import type { Limits, ScopedLimits } from '../domain/limits.ts';
import { nanoUsd } from '../domain/money.ts';
import type { PrincipalKind } from '../domain/principal-kind.ts';
import type { TokenCap } from '../domain/wallet.ts';
import { config, type Env } from '../env.ts';
import { TtlCache } from '../lib/ttl-cache.ts';
import { verifyClientToken } from '../tokens/client-claims.ts';
import { pepperKey } from '../tokens/pepper.ts';
import type { ApiError } from './api-error.ts';

export interface Principal {
  readonly kind: PrincipalKind;
  readonly accountId: string;
  /** of a token: the key that made it */
  readonly keyId: string;
  /** the key or token itself: what a kept answer is sealed with. It goes into no log and no call */
  readonly secret: string;
  /** model ids; null: all */
  readonly models: readonly string[] | null;
  readonly limits: ScopedLimits;
  readonly expiresAtMs: number | null;
  /** null: a key */
  readonly token: TokenCap | null;
}

/** A key that is revoked, or whose account is suspended, must be dead within 10 s everywhere; half of that leaves room for clocks and slow reads. */
const KEY_TTL_MS = 5_000;
/** by hash, and by id for tokens */
const keys = new TtlCache<string, KeyOfAccount | null>({ ttlMs: KEY_TTL_MS, sizeMax: 10_000 });

/** A key's hash never changes; what goes stale is the row that it leads to. The keys themselves stay in the isolate. */
const hashes = new TtlCache<string, string>({ ttlMs: 3_600_000, sizeMax: 10_000 });

const UNAUTHENTICATED = { ok: false, refusal: { reason: 'unauthenticated' } } as const;

type Authenticated = { ok: true; principal: Principal } | { ok: false; refusal: ApiError };

/**
 * Missing, malformed, unknown, revoked and expired keys get the same refusal.
 * A malformed one is refused by its checksum, before any hash or look-up; a token by its signature.
 */
export async function authenticate(request: Request, env: Env, nowMs: number): Promise<Authenticated> {
  const secret = secretOf(request.headers);
  if (secret === 'conflicting') return { ok: false, refusal: { reason: 'conflicting_keys' } };
  if (secret === null) return UNAUTHENTICATED;
  if (isToken(secret)) return authenticateToken(env, secret, nowMs);
  if (!isWellFormedApiKey(secret)) return UNAUTHENTICATED;
  const hash = hashes.get(secret, nowMs) ?? (await hashOf(env, secret, nowMs));
  const row = await known(hash, nowMs, () => findKeyByHash(database(env), hash));
  const refusal = refusalOf(env, row, nowMs);
  return refusal ? { ok: false, refusal } : { ok: true, principal: toPrincipal(row!, secret) };
}

async function hashOf(env: Env, secret: string, nowMs: number): Promise<string> {
  const hash = await hashApiKey(secret, await pepperKey(config(env)));
  hashes.set(secret, hash, nowMs);
  return hash;
}

/** Whether it is shaped like a JWT; says nothing of what is in it. */
export function isToken(secret: string): boolean {
  return /^ey[\w-]+\.[\w-]+\.[\w-]+$/.test(secret);
}

/** It lives no longer than the key that made it, may do no more, and all of that key's limits count for it. */
async function authenticateToken(env: Env, token: string, nowMs: number): Promise<Authenticated> {
  const claims = await verifyClientToken(config(env), token, nowMs);
  if (claims === null) return UNAUTHENTICATED;
  const row = await known(claims.key, nowMs, () => findKeyById(database(env), claims.key));
  const refusal = refusalOf(env, row, nowMs);
  if (refusal) return { ok: false, refusal };
  const parent = toPrincipal(row!, token);
  const principal: Principal = {
    ...parent,
    kind: 'token',
    models: bothOf(parent.models, claims.models),
    expiresAtMs: claims.exp * 1_000,
    token: { id: claims.jti, capNanoUsd: nanoUsd(claims.cap) },
  };
  return { ok: true, principal };
}

function bothOf(a: Principal['models'], b: Principal['models']): Principal['models'] {
  if (a === null || b === null) return a ?? b;
  return a.filter((model) => b.includes(model));
}

async function known(
  name: string,
  nowMs: number,
  read: () => Promise<KeyOfAccount | null>,
): Promise<KeyOfAccount | null> {
  let row = keys.get(name, nowMs);
  if (row === undefined) {
    row = await read();
    keys.set(name, row, nowMs);
  }
  return row;
}

/** For work that goes on after its request: the key as it is now, null when it is revoked or has expired. */
export async function principalOfKey(
  env: Env,
  keyId: string,
  nowMs: number,
): Promise<Principal | 'account_suspended' | null> {
  const row = await findKeyById(database(env), keyId);
  if (row === null || isDead(row.key, nowMs)) return null;
  if (row.account.suspendedAtMs !== null) return 'account_suspended';
  // the key itself is known to nobody here, and nothing is sealed with it
  return toPrincipal(row, '');
}

/** OpenAI's way or Anthropic's; null: neither. Two that differ could be taken for one by us and for the other by a proxy. */
export function secretOf(headers: Headers): string | 'conflicting' | null {
  const authorization = bearer(headers.get('authorization'));
  const apiKey = headers.get('x-api-key');
  if (authorization !== null && apiKey !== null && authorization !== apiKey) return 'conflicting';
  return authorization ?? apiKey;
}

function bearer(header: string | null): string | null {
  return header?.match(/^bearer ([\x21-\x7e]+)$/i)?.[1] ?? null;
}

/** A dead key learns nothing of its account. */
function refusalOf(env: Env, row: KeyOfAccount | null, nowMs: number): ApiError | null {
  if (row === null || isDead(row.key, nowMs)) return UNAUTHENTICATED.refusal;
  if (row.account.suspendedAtMs === null) return null;
  return { reason: 'account_suspended', contact: config(env).mailFrom };
}

function isDead({ revokedAtMs, expiresAtMs }: KeyOfAccount['key'], nowMs: number): boolean {
  return revokedAtMs !== null || (expiresAtMs !== null && expiresAtMs <= nowMs);
}

function toPrincipal({ key, account }: KeyOfAccount, secret: string): Principal {
  return {
    kind: key.scope,
    accountId: key.accountId,
    secret,
    keyId: key.id,
    models: key.models,
    limits: { key: toLimits(key), account: toLimits(account) },
    expiresAtMs: key.expiresAtMs,
    token: null,
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
