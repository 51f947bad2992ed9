/** API keys: created once, found by their hash, listed and revoked within their account. */
import { and, desc, eq, isNull, type SQL } from 'drizzle-orm';
import { hashApiKey, newApiKey } from '../domain/api-key.ts';
import { newId } from '../domain/ids.ts';
import type { CapPeriod } from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { LoggableError } from '../lib/describe-error.ts';
import { type AuditEntry, addAudit, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { account, apiKey } from './schema.ts';

export type ApiKeyRow = typeof apiKey.$inferSelect;

export interface NewKey {
  readonly accountId: string;
  readonly name: string;
  /** Default: inference. */
  readonly scope?: ApiKeyRow['scope'];
  /** null: all models. */
  readonly models?: readonly string[] | null;
  /** null: no cap. */
  readonly capNanoUsd?: NanoUsd | null;
  readonly capPeriod?: CapPeriod;
  readonly requestsPerMinute?: number;
  /** null: no limit. */
  readonly tokensPerMinute?: number | null;
  readonly concurrency?: number;
  readonly expiresAtMs?: number | null;
  readonly nowMs: number;
}

/**
 * Creates a key. The returned `key` is its only copy: it is stored nowhere and cannot be read again.
 * @param actor who creates it, for the audit trail: a person's id or a management key's; null: no audit row is
 * written
 */
export async function createKey(
  db: Database,
  pepper: CryptoKey,
  request: NewKey,
  actor: string | null = null,
): Promise<CreatedKey> {
  const { key, insert, entry } = await newRow(db, pepper, request, actor);
  if (entry === null) return { key, row: await insert.get() };
  const [rows] = await db.batch([insert, addAudit(db, entry)]);
  return { key, row: rows[0]! };
}

export interface CreatedKey {
  readonly key: string;
  readonly row: ApiKeyRow;
}

/**
 * Creates a new key on the same terms. The old one stays valid for `overlapMs`, so that clients need not switch in
 * one instant; one that expires before that still expires then. Both changes are one batch.
 */
export async function rotateKey(
  db: Database,
  pepper: CryptoKey,
  request: { row: ApiKeyRow; overlapMs: number; actor: string; nowMs: number },
): Promise<CreatedKey> {
  const { row: old, overlapMs, actor, nowMs } = request;
  const { accountId, name, scope, models, capPeriod, requestsPerMinute, tokensPerMinute, concurrency } = old;
  const capNanoUsd = old.capNanoUsd === null ? null : nanoUsd(old.capNanoUsd);
  const terms = { models, capNanoUsd, capPeriod, requestsPerMinute, tokensPerMinute, concurrency };
  const fresh = { accountId, name, scope, ...terms, expiresAtMs: old.expiresAtMs, nowMs };
  const { key, id, insert, entry } = await newRow(db, pepper, fresh, actor);
  const overlapEndMs = nowMs + overlapMs;
  const [rows] = await db.batch([
    insert,
    addAudit(db, entry!),
    db
      .update(apiKey)
      .set({ expiresAtMs: Math.min(overlapEndMs, old.expiresAtMs ?? overlapEndMs) })
      .where(and(eq(apiKey.id, old.id), eq(apiKey.accountId, accountId), isNull(apiKey.revokedAtMs))),
    addAudit(db, { ...entry!, action: 'key.rotated', subject: old.id, detail: { name, what: id } }),
  ]);
  return { key, row: rows[0]! };
}

async function newRow(db: Database, pepper: CryptoKey, request: NewKey, actor: string | null) {
  const { models, nowMs, ...rest } = request;
  const key = newApiKey();
  const id = newId('key', nowMs);
  const insert = db
    .insert(apiKey)
    .values({
      ...rest,
      id,
      hash: await hashApiKey(key, pepper),
      lastFour: key.slice(-4),
      models: models ? [...models] : null,
      createdAtMs: nowMs,
    })
    .returning();
  const entry: AuditEntry | null =
    actor === null
      ? null
      : {
          atMs: nowMs,
          actor,
          action: 'key.created',
          subject: id,
          detail: { name: rest.name },
          accountId: rest.accountId,
        };
  return { key, id, insert, entry };
}

/** Lists every key of the account, newest first, revoked and expired ones included. */
export function listKeys(db: Database, accountId: string): Promise<ApiKeyRow[]> {
  return db
    .select()
    .from(apiKey)
    .where(eq(apiKey.accountId, accountId))
    .orderBy(desc(apiKey.createdAtMs), desc(apiKey.id));
}

/** Finds a key of the account; null when it is another account's or does not exist. */
export async function findKey(
  db: Database,
  which: { accountId: string; keyId: string },
): Promise<ApiKeyRow | null> {
  const row = await db
    .select()
    .from(apiKey)
    .where(and(eq(apiKey.id, which.keyId), eq(apiKey.accountId, which.accountId)))
    .get();
  return row ?? null;
}

export interface KeyWithAccount {
  readonly key: ApiKeyRow;
  readonly account: typeof account.$inferSelect;
}

/**
 * Finds a key by its hash, with its account. Revoked and expired keys are included: the caller decides what they may
 * do.
 */
export function findKeyByHash(db: Database, hash: string): Promise<KeyWithAccount | null> {
  return keyWithAccount(db, eq(apiKey.hash, hash));
}

/** Like findKeyByHash, by id. */
export function findKeyById(db: Database, keyId: string): Promise<KeyWithAccount | null> {
  return keyWithAccount(db, eq(apiKey.id, keyId));
}

async function keyWithAccount(db: Database, which: SQL): Promise<KeyWithAccount | null> {
  const row = await db
    .select({ key: apiKey, account })
    .from(apiKey)
    .innerJoin(account, eq(account.id, apiKey.accountId))
    .where(which)
    .get();
  return row ?? null;
}

/** Changes a key of the account, with an audit row. @throws Error when it does not exist: look it up first */
export async function changeKey(
  db: Database,
  request: {
    accountId: string;
    keyId: string;
    values: Partial<typeof apiKey.$inferInsert>;
    entry: AuditEntry;
  },
): Promise<ApiKeyRow> {
  const { accountId, keyId, values, entry } = request;
  const [rows] = await db.batch([
    db
      .update(apiKey)
      .set(values)
      .where(and(eq(apiKey.id, keyId), eq(apiKey.accountId, accountId)))
      .returning(),
    addAuditIfChanged(db, entry),
  ]);
  if (!rows[0]) throw new LoggableError(`key ${keyId} is gone`);
  return rows[0];
}

/** Revokes a key. @returns false when the account has no such key that is not yet revoked */
export async function revokeKey(
  db: Database,
  request: { accountId: string; keyId: string; actor: string; nowMs: number },
): Promise<boolean> {
  const { accountId, keyId, actor, nowMs } = request;
  const [revoked] = await db.batch([
    db
      .update(apiKey)
      .set({ revokedAtMs: nowMs })
      .where(and(eq(apiKey.id, keyId), eq(apiKey.accountId, accountId), isNull(apiKey.revokedAtMs))),
    addAuditIfChanged(db, {
      atMs: nowMs,
      actor,
      action: 'key.revoked',
      subject: keyId,
      detail: {},
      accountId,
    }),
  ]);
  return revoked.meta.changes === 1;
}
