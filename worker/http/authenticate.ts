/**
 * Step 1 of a request: authentication. An API key or a short-lived token becomes a Principal, from the isolate's cache or
 * by one read of D1.
 */
import { database } from '../db/client.ts';
import {
  findKeyByHash,
  findKeyById,
  findKeyInSession,
  type KeyWithAccount,
  rehashKey,
} from '../db/find-key.ts';
import { hashApiKey, isWellFormedApiKey } from '../domain/api-key.ts';
import type { Cap, Limits, ScopedLimits, SharedCaps } from '../domain/limits.ts';
import type { ModelAlias } from '../domain/model-alias.ts';
import { nanoUsd } from '../domain/money.ts';
import type { PrincipalKind } from '../domain/principal-kind.ts';
import type { TokenCap } from '../domain/wallet.ts';
import { config, type Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { TtlCache } from '../lib/ttl-cache.ts';
import { type ClientClaims, verifyClientToken } from '../tokens/client-claims.ts';
import { acceptedPeppers } from '../tokens/pepper.ts';
import { secretId } from '../tokens/secret-id.ts';
import type { ApiError } from './api-error.ts';

export interface Principal {
  readonly kind: PrincipalKind;
  readonly accountId: string;
  /** For a token, the id of the key that minted it. */
  readonly keyId: string;
  /** The key or token itself. Stored responses are sealed with it; it must never be logged or passed to another service. */
  readonly secret: string;
  /** Allowed model ids; null: all models. */
  readonly models: readonly string[] | null;
  /** The account's own names for models. `models` applies to the models that they stand for. */
  readonly aliases: readonly ModelAlias[];
  readonly limits: ScopedLimits;
  readonly expiresAtMs: number | null;
  /** Id and spending cap of the token; null when a key authenticated. */
  readonly token: TokenCap | null;
}

/**
 * A revoked key, or a key of a suspended account, must stop working everywhere within 10 s. Caching for half of that leaves
 * room for clock differences and slow reads.
 */
const KEY_TTL_MS = 5_000;
/** Key rows by key hash, and for tokens by key id, together with the session if a person made the token. */
const keyRows = new TtlCache<string, KeyWithAccount | null>({ ttlMs: KEY_TTL_MS, sizeMax: 10_000 });

/**
 * Hashes by key. A key's hash never changes, only its row goes stale, so it may be cached for long. Keys stay in the
 * isolate.
 */
const knownHashes = new TtlCache<string, readonly string[]>({ ttlMs: 3_600_000, sizeMax: 10_000 });

const UNAUTHENTICATED = { ok: false, error: { reason: 'unauthenticated' } } as const;

type AuthenticationResult = { ok: true; principal: Principal } | { ok: false; error: ApiError };

/**
 * Authenticates a request. Missing, malformed, unknown, revoked and expired keys all get the same error. A malformed key is
 * rejected by its checksum, before any hashing or look-up; a forged token by its signature.
 */
export async function authenticate(request: Request, env: Env, nowMs: number): Promise<AuthenticationResult> {
  const secret = secretOf(request.headers);
  if (secret === 'conflicting') return { ok: false, error: { reason: 'conflicting_keys' } };
  if (secret === null) return UNAUTHENTICATED;
  if (isToken(secret)) return authenticateToken(env, secret, nowMs);
  const hashes = await hashesOf(env, secret, nowMs);
  if (hashes === null) return UNAUTHENTICATED;
  const [hash = '', ...others] = hashes;
  const row = await cachedKeyRow(hash, nowMs, async () => {
    const found = await findKeyByHash(database(env), hash, ...others);
    if (found !== null && found.key.hash !== hash) await keepUnderPepper(env, found.key, hash);
    return found;
  });
  const error = keyError(env, row, nowMs);
  if (error) return { ok: false, error };
  const principal = principals.get(row!) ?? toPrincipal(row!, secret);
  principals.set(row!, principal);
  return { ok: true, principal };
}

/** Principals by the cached row of their key. */
const principals = new WeakMap<KeyWithAccount, Principal>();

/**
 * The key's hash under the pepper in use, then its hashes under the others that are accepted; null: it is malformed. A key
 * whose hash is known needs no look at its checksum.
 */
async function hashesOf(env: Env, secret: string, nowMs: number): Promise<readonly string[] | null> {
  const peppers = await acceptedPeppers(config(env));
  const cacheKey = `${peppers[0]!.id} ${peppers.length} ${secret}`;
  const cached = knownHashes.get(cacheKey, nowMs);
  if (cached) return cached;
  if (!isWellFormedApiKey(secret)) return null;
  const fresh = await Promise.all(peppers.map(({ hmac }) => hashApiKey(secret, hmac)));
  knownHashes.set(cacheKey, fresh, nowMs);
  return fresh;
}

/**
 * Moves a key that was found under an earlier pepper to the one in use, so that only unused keys need the earlier one. A
 * key under the upcoming pepper stays: another isolate has moved it there. A failure refuses nobody; the next use tries again.
 */
async function keepUnderPepper(env: Env, key: KeyWithAccount['key'], hash: string): Promise<void> {
  const { beside, keyPepper } = config(env);
  const { upcoming } = beside.KEY_PEPPER;
  if (upcoming !== null && key.pepperId === secretId(upcoming)) return;
  const moved = { keyId: key.id, from: key.hash, to: hash, pepperId: secretId(keyPepper) };
  await rehashKey(database(env), moved).catch((error) =>
    console.error(JSON.stringify({ event: 'rehash_failed', keyId: key.id, error: describeError(error) })),
  );
}

/** Tells whether the secret has the shape of a JWT. Its content is not checked. */
export function isToken(secret: string): boolean {
  return /^ey[\w-]+\.[\w-]+\.[\w-]+$/.test(secret);
}

/**
 * A token expires no later than the key that minted it, may do no more than that key, and counts against all of its
 * limits.
 */
async function authenticateToken(env: Env, token: string, nowMs: number): Promise<AuthenticationResult> {
  const claims = await verifyClientToken(config(env), token, nowMs);
  if (claims === null) return UNAUTHENTICATED;
  const row = await keyRowOfToken(env, claims, nowMs);
  const error = keyError(env, row, nowMs);
  if (error) return { ok: false, error };
  const parent = toPrincipal(row!, token);
  const principal: Principal = {
    ...parent,
    kind: 'token',
    models: intersection(parent.models, claims.models),
    expiresAtMs: claims.exp * 1_000,
    token: { id: claims.jti, capNanoUsd: nanoUsd(claims.cap) },
  };
  return { ok: true, principal };
}

/** The row of the token's key; null when the token was made in a session that is over or whose person lost the right. */
function keyRowOfToken(env: Env, { key: keyId, by }: ClientClaims, nowMs: number) {
  if (!by) return cachedKeyRow(keyId, nowMs, () => findKeyById(database(env), keyId));
  const which = { keyId, personId: by.person, sessionId: by.session, nowMs };
  const cacheKey = JSON.stringify([keyId, by.person, by.session]);
  return cachedKeyRow(cacheKey, nowMs, () => findKeyInSession(database(env), which));
}

function intersection(a: Principal['models'], b: Principal['models']): Principal['models'] {
  if (a === null || b === null) return a ?? b;
  return a.filter((model) => b.includes(model));
}

async function cachedKeyRow(
  cacheKey: string,
  nowMs: number,
  read: () => Promise<KeyWithAccount | null>,
): Promise<KeyWithAccount | null> {
  let row = keyRows.get(cacheKey, nowMs);
  if (row === undefined) {
    row = await read();
    keyRows.set(cacheKey, row, nowMs);
  }
  return row;
}

/**
 * The principal of a key as it is now, for work that outlives its request. Bypasses the cache. Null when the key is
 * revoked or has expired.
 */
export async function principalOfKey(
  env: Env,
  keyId: string,
  nowMs: number,
): Promise<Principal | 'account_suspended' | null> {
  const row = await findKeyById(database(env), keyId);
  if (row === null || isOver(row, nowMs)) return null;
  if (row.account.suspendedAtMs !== null) return 'account_suspended';
  // only the key's hash is stored, so there is no secret; background work seals nothing
  return toPrincipal(row, '');
}

/**
 * The key from `Authorization` (OpenAI) or `x-api-key` (Anthropic); null when neither is sent. Two different keys are a
 * conflict: we could authenticate one of them while a proxy before us authenticated the other.
 */
export function secretOf(headers: Headers): string | 'conflicting' | null {
  const authorization = bearer(headers.get('authorization'));
  const apiKey = headers.get('x-api-key');
  if (authorization !== null && apiKey !== null && authorization !== apiKey) return 'conflicting';
  return authorization ?? apiKey;
}

function bearer(header: string | null): string | null {
  return header?.match(/^bearer ([\x21-\x7e]+)$/i)?.[1] ?? null;
}

/** Why a key's row may not be used. A revoked or expired key does not reveal whether its account is suspended. */
function keyError(env: Env, row: KeyWithAccount | null, nowMs: number): ApiError | null {
  if (row === null || isOver(row, nowMs)) return UNAUTHENTICATED.error;
  if (row.account.suspendedAtMs === null) return null;
  return { reason: 'account_suspended', contact: config(env).mailFrom };
}

/** Whether the key is revoked or has expired, or its account is closed. */
function isOver({ key: { revokedAtMs, expiresAtMs }, account }: KeyWithAccount, nowMs: number): boolean {
  return (
    revokedAtMs !== null || (expiresAtMs !== null && expiresAtMs <= nowMs) || account.closedAtMs !== null
  );
}

function toPrincipal({ key, account, manager, aliases }: KeyWithAccount, secret: string): Principal {
  const shared = toShared(key, manager);
  return {
    kind: key.scope,
    accountId: key.accountId,
    secret,
    keyId: key.id,
    models: key.models,
    aliases,
    limits: { key: toLimits(key), account: toLimits(account), ...(shared && { shared }) },
    expiresAtMs: key.expiresAtMs,
    token: null,
  };
}

/** The caps that the key shares; null: none. A management key without a cap bounds nothing, so it is left out. */
function toShared(
  { lineageId }: KeyWithAccount['key'],
  manager: KeyWithAccount['manager'],
): SharedCaps | null {
  const bounding = manager === null || manager.capNanoUsd === null ? null : manager;
  if (lineageId === null && bounding === null) return null;
  return { lineageId, manager: bounding && { keyId: bounding.id, ...toCap(bounding) } };
}

function toLimits(row: KeyWithAccount['key' | 'account']): Limits {
  const { requestsPerMinute, tokensPerMinute, concurrency } = row;
  return { requestsPerMinute, tokensPerMinute, concurrency, ...toCap(row) };
}

function toCap({ capNanoUsd, capPeriod }: Pick<KeyWithAccount['key'], 'capNanoUsd' | 'capPeriod'>): Cap {
  return { capNanoUsd: capNanoUsd === null ? null : nanoUsd(capNanoUsd), capPeriod };
}
