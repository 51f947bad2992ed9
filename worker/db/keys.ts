/** API keys: created once, listed, changed, rotated and revoked within their account. find-key.ts finds those of requests. */
import { and, count, desc, eq, getTableColumns, gt, isNull, ne, or, type SQL, sql } from 'drizzle-orm';
import { hashApiKey, newApiKey } from '../domain/api-key.ts';
import { newId } from '../domain/ids.ts';
import type { CapPeriod } from '../domain/limits.ts';
import { MAXIMA } from '../domain/maxima.ts';
import type { NanoUsd } from '../domain/money.ts';
import type { Pepper } from '../tokens/pepper.ts';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { insertIf } from './insert-if.ts';
import { apiKey } from './schema.ts';
import { mayManageKeys } from './standing.ts';

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
  /** The management key that makes it, by the first key of its lineage; null: a person makes it. */
  readonly managerId?: string | null;
  readonly nowMs: number;
}

/**
 * Creates a key. The returned `key` is its only copy: it is stored nowhere and cannot be read again.
 * @param actor the person or management key that creates it, whose standing is checked in the same statement; null:
 * nothing is checked, and no audit row is written
 * @returns null when the actor may not make keys (any more), or the account has as many as it can have
 */
export async function createKey(
  db: Database,
  pepper: Pepper,
  request: NewKey,
  actor?: null,
): Promise<CreatedKey>;
export async function createKey(
  db: Database,
  pepper: Pepper,
  request: NewKey,
  actor: string,
): Promise<CreatedKey | null>;
export async function createKey(
  db: Database,
  pepper: Pepper,
  request: NewKey,
  actor: string | null = null,
): Promise<CreatedKey | null> {
  const { models, nowMs, ...terms } = request;
  const { accountId, name } = request;
  const { key, ...fresh } = await newSecret(pepper, nowMs);
  const row = { ...terms, ...fresh, models: models ? [...models] : null, createdBy: actor };
  if (actor === null) return { key, row: await db.insert(apiKey).values(row).returning().get() };
  const [rows] = await db.batch([
    insertIf(
      db,
      apiKey,
      row,
      sql`${mayManageKeys({ accountId, actor, nowMs })} and ${hasRoomForKey(accountId, nowMs)}`,
    ).returning(),
    addAuditIfChanged(db, {
      atMs: nowMs,
      actor,
      action: 'key.created',
      subject: fresh.id,
      detail: { name },
      accountId,
    }),
  ]);
  return rows[0] ? { key, row: rows[0] } : null;
}

/** True while the account may have another key: part of the inserting statement, so that two at once cannot both pass. */
function hasRoomForKey(accountId: string, nowMs: number): SQL {
  return sql`exists (select 1 from (select count(*) as made, coalesce(sum(k.revoked_at_ms is null and
    (k.expires_at_ms is null or k.expires_at_ms > ${nowMs})), 0) as active from ${apiKey} as k
    where k.account_id = ${accountId}) where made < ${MAXIMA.keys.count} and active < ${MAXIMA.active_keys.count})`;
}

/** Whether the account has as many keys as it can have. */
export async function isFullOfKeys(
  db: Database,
  which: { accountId: string; nowMs: number },
): Promise<boolean> {
  const room = await db.get<{ room: number }>(
    sql`select ${hasRoomForKey(which.accountId, which.nowMs)} as room`,
  );
  return room.room === 0;
}

export interface CreatedKey {
  readonly key: string;
  readonly row: ApiKeyRow;
}

async function newSecret(pepper: Pepper, nowMs: number) {
  const key = newApiKey();
  const hash = await hashApiKey(key, pepper.hmac);
  return {
    key,
    id: newId('key', nowMs),
    hash,
    pepperId: pepper.id,
    lastFour: key.slice(-4),
    createdAtMs: nowMs,
  };
}

/** True for keys that are neither revoked nor expired. */
export function isActiveKey(nowMs: number): SQL {
  return and(
    isNull(apiKey.revokedAtMs),
    or(isNull(apiKey.expiresAtMs), gt(apiKey.expiresAtMs, nowMs)),
  ) as SQL;
}

/**
 * Creates a key's successor on the same terms, in the same lineage: their spend counts together. The old key stays valid
 * for `overlapMs`, so that clients need not switch in one instant; one that expires before that still expires then. All
 * changes are one batch.
 * @param request.managerId the management key whose cap the successor shares unless the old key shares one already
 * @returns null when the key is not active, has a successor, the actor may not make keys, or the account has as many as
 * it can have
 */
export async function rotateKey(
  db: Database,
  pepper: Pepper,
  request: { row: ApiKeyRow; overlapMs: number; actor: string; managerId?: string | null; nowMs: number },
): Promise<CreatedKey | null> {
  const { row: old, overlapMs, actor, managerId = null, nowMs } = request;
  const { accountId, name } = old;
  const { key, id, hash, pepperId, lastFour } = await newSecret(pepper, nowMs);
  const ofOld = and(eq(apiKey.id, old.id), eq(apiKey.accountId, accountId));
  // The terms are copied from the row as it is in this statement, so that no concurrent change is undone.
  const successor = db
    .select({
      ...getTableColumns(apiKey),
      id: sql`${id}`.as('id'),
      hash: sql`${hash}`.as('hash'),
      pepperId: sql`${pepperId}`.as('pepper_id'),
      lastFour: sql`${lastFour}`.as('last_four'),
      createdAtMs: sql`${nowMs}`.as('created_at_ms'),
      lastUsedAtMs: sql`null`.as('last_used_at_ms'),
      createdBy: sql`${actor}`.as('created_by'),
      keptBy: sql`null`.as('kept_by'),
      lineageId: sql`coalesce(${apiKey.lineageId}, ${apiKey.id})`.as('lineage_id'),
      managerId: sql`coalesce(${apiKey.managerId}, ${managerId})`.as('manager_id'),
    })
    .from(apiKey)
    .where(
      and(
        ofOld,
        isActiveKey(nowMs),
        isNull(apiKey.successorId),
        mayManageKeys({ accountId, actor, nowMs }),
        hasRoomForKey(accountId, nowMs),
      ),
    );
  const overlapEndMs = nowMs + overlapMs;
  const entry = { atMs: nowMs, actor, accountId };
  const [rows] = await db.batch([
    db.insert(apiKey).select(successor).returning(),
    addAuditIfChanged(db, { ...entry, action: 'key.created', subject: id, detail: { name } }),
    db
      .update(apiKey)
      .set({
        successorId: id,
        expiresAtMs: sql`min(${overlapEndMs}, coalesce(${apiKey.expiresAtMs}, ${overlapEndMs}))`,
      })
      .where(and(ofOld, sql`exists (select 1 from ${apiKey} as fresh where fresh.id = ${id})`)),
    addAuditIfChanged(db, { ...entry, action: 'key.rotated', subject: old.id, detail: { name, what: id } }),
  ]);
  return rows[0] ? { key, row: rows[0] } : null;
}

/** Columns of a key as it is shown: its last use may still be among its account's open sums (open-sums.ts). */
export const SHOWN_KEY = {
  ...getTableColumns(apiKey),
  lastUsedAtMs: sql<number | null>`nullif(max(coalesce(api_key.last_used_at_ms, 0), coalesce((
    select max(o.value ->> 1) from projection as p cross join json_each(p.open_sums, '$.k') as o
    where p.account_id = api_key.account_id and o.value ->> 0 = api_key.id), 0)), 0)`.as('last_used_at_ms'),
};

/** Lists every key of the account, newest first, revoked and expired ones included. */
export function listKeys(db: Database, accountId: string): Promise<ApiKeyRow[]> {
  return db
    .select(SHOWN_KEY)
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
    .select(SHOWN_KEY)
    .from(apiKey)
    .where(and(eq(apiKey.id, which.keyId), eq(apiKey.accountId, which.accountId)))
    .get();
  return row ?? null;
}

/**
 * Counts active keys that are not under this pepper.
 * @param which.unnamed whether a key that names no pepper is one of them
 */
export async function countKeysNotUnder(
  db: Database,
  { pepperId, unnamed, nowMs }: { pepperId: string; unnamed: boolean; nowMs: number },
): Promise<number> {
  const isOther = or(ne(apiKey.pepperId, pepperId), ...(unnamed ? [isNull(apiKey.pepperId)] : []));
  const [row] = await db
    .select({ n: count() })
    .from(apiKey)
    .where(and(isActiveKey(nowMs), isOther));
  return row?.n ?? 0;
}

/**
 * Changes an active key of the account, with an audit row.
 * @returns null when the key is not active, or the actor may not change keys (any more)
 */
export async function changeKey(
  db: Database,
  request: {
    accountId: string;
    keyId: string;
    values: Partial<typeof apiKey.$inferInsert>;
    entry: AuditEntry;
  },
): Promise<ApiKeyRow | null> {
  const { accountId, keyId, values, entry } = request;
  const { actor, atMs: nowMs } = entry;
  const ofAccount = and(eq(apiKey.id, keyId), eq(apiKey.accountId, accountId));
  const [rows] = await db.batch([
    db
      .update(apiKey)
      .set(values)
      .where(and(ofAccount, isActiveKey(nowMs), mayManageKeys({ accountId, actor, nowMs })))
      .returning(),
    addAuditIfChanged(db, entry),
  ]);
  return rows[0] ?? null;
}

/** `keep`: a thing works on, in the name of the person who decides. `end`: it ends. */
export type Fate = 'keep' | 'end';

/** The active keys that a management key, or another of its lineage, made. */
function madeBy(
  { accountId, id, lineageId }: Pick<ApiKeyRow, 'accountId' | 'id' | 'lineageId'>,
  nowMs: number,
) {
  return and(eq(apiKey.accountId, accountId), eq(apiKey.managerId, lineageId ?? id), isActiveKey(nowMs));
}

export async function countMadeKeys(db: Database, manager: ApiKeyRow, nowMs: number): Promise<number> {
  const row = await db.select({ n: count() }).from(apiKey).where(madeBy(manager, nowMs)).get();
  return row?.n ?? 0;
}

/**
 * Revokes a management key together with the decision about the keys that it made, in one batch.
 * @param request.fate what becomes of them; null: it made none
 * @returns false when it is revoked already, or made keys and `fate` is null
 */
export async function revokeManagementKey(
  db: Database,
  request: { manager: ApiKeyRow; fate: Fate | null; actor: string; nowMs: number },
): Promise<boolean> {
  const { manager, fate, actor, nowMs } = request;
  const { id: keyId, accountId } = manager;
  const made = madeBy(manager, nowMs);
  const noneMade = sql`not exists (select 1 from ${apiKey} as made where made.account_id = ${accountId}
    and made.manager_id = ${manager.lineageId ?? keyId} and made.revoked_at_ms is null
    and (made.expires_at_ms is null or made.expires_at_ms > ${nowMs}))`;
  const [revoked] = await db.batch([
    db
      .update(apiKey)
      .set({ revokedAtMs: nowMs })
      .where(and(eq(apiKey.id, keyId), isNull(apiKey.revokedAtMs), fate === null ? noneMade : undefined)),
    addAuditIfChanged(db, {
      atMs: nowMs,
      actor,
      action: 'key.revoked',
      subject: keyId,
      detail: { name: manager.name, ...(fate && { keys: fate }) },
      accountId,
    }),
    db
      .update(apiKey)
      .set(fate === 'end' ? { revokedAtMs: nowMs } : { keptBy: actor })
      .where(and(made, fate === null ? sql`false` : undefined)),
  ]);
  return revoked.meta.changes === 1;
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
