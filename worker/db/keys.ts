/** API keys: made once, found by their hash, listed and revoked within their account. */
import { and, desc, eq, isNull, type SQL } from 'drizzle-orm';
import { hashApiKey, newApiKey } from '../domain/api-key.ts';
import { newId } from '../domain/ids.ts';
import type { CapPeriod } from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { type AuditEntry, addAudit, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { account, apiKey } from './schema.ts';

export type ApiKeyRow = typeof apiKey.$inferSelect;

export interface NewKey {
  readonly accountId: string;
  readonly name: string;
  /** inference unless told */
  readonly scope?: ApiKeyRow['scope'];
  /** null: all */
  readonly models?: readonly string[] | null;
  /** null: no cap */
  readonly capNanoUsd?: NanoUsd | null;
  readonly capPeriod?: CapPeriod;
  readonly requestsPerMinute?: number;
  /** null: no limit */
  readonly tokensPerMinute?: number | null;
  readonly concurrency?: number;
  readonly expiresAtMs?: number | null;
  readonly nowMs: number;
}

/**
 * Makes a key. `key` is its only copy: it is stored nowhere and cannot be had again.
 * @param actor who makes it, for the trail: a person's id or a management key's; null: nobody is told
 */
export async function createKey(
  db: Database,
  pepper: CryptoKey,
  request: NewKey,
  actor: string | null = null,
): Promise<MadeKey> {
  const { key, insert, entry } = await newRow(db, pepper, request, actor);
  if (entry === null) return { key, row: await insert.get() };
  const [rows] = await db.batch([insert, addAudit(db, entry)]);
  return { key, row: rows[0]! };
}

export interface MadeKey {
  readonly key: string;
  readonly row: ApiKeyRow;
}

/**
 * A new key on the same terms. The old one goes on for the overlap, so that nothing has to be changed in one instant;
 * one that ends before that ends when it would have. Both or neither.
 */
export async function rotateKey(
  db: Database,
  pepper: CryptoKey,
  request: { row: ApiKeyRow; overlapMs: number; actor: string; nowMs: number },
): Promise<MadeKey> {
  const { row: old, overlapMs, actor, nowMs } = request;
  const { accountId, name, scope, models, capPeriod, requestsPerMinute, tokensPerMinute, concurrency } = old;
  const capNanoUsd = old.capNanoUsd === null ? null : nanoUsd(old.capNanoUsd);
  const terms = { models, capNanoUsd, capPeriod, requestsPerMinute, tokensPerMinute, concurrency };
  const fresh = { accountId, name, scope, ...terms, expiresAtMs: old.expiresAtMs, nowMs };
  const { key, id, insert, entry } = await newRow(db, pepper, fresh, actor);
  const overMs = nowMs + overlapMs;
  const [rows] = await db.batch([
    insert,
    addAudit(db, entry!),
    db
      .update(apiKey)
      .set({ expiresAtMs: Math.min(overMs, old.expiresAtMs ?? overMs) })
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

/** Every key of the account, newest first, revoked and expired ones included. */
export function listKeys(db: Database, accountId: string): Promise<ApiKeyRow[]> {
  return db
    .select()
    .from(apiKey)
    .where(eq(apiKey.accountId, accountId))
    .orderBy(desc(apiKey.createdAtMs), desc(apiKey.id));
}

/** The key if it is the account's, else null. */
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

export interface KeyOfAccount {
  readonly key: ApiKeyRow;
  readonly account: typeof account.$inferSelect;
}

/** The key of that hash with its account, revoked and expired ones included: the caller decides what they may do. */
export function findKeyByHash(db: Database, hash: string): Promise<KeyOfAccount | null> {
  return keyWithAccount(db, eq(apiKey.hash, hash));
}

/** The same by id. */
export function findKeyById(db: Database, keyId: string): Promise<KeyOfAccount | null> {
  return keyWithAccount(db, eq(apiKey.id, keyId));
}

async function keyWithAccount(db: Database, which: SQL): Promise<KeyOfAccount | null> {
  const row = await db
    .select({ key: apiKey, account })
    .from(apiKey)
    .innerJoin(account, eq(account.id, apiKey.accountId))
    .where(which)
    .get();
  return row ?? null;
}

/** Changes a key of the account and says so in the audit. @throws Error when it is not there: look first */
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
  if (!rows[0]) throw new Error(`key ${keyId} is gone`);
  return rows[0];
}

/** @returns false when the account has no such key that is not yet revoked */
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
