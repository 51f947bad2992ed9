/** The key behind a request, with its account: what every authentication reads. All else about keys is in keys.ts. */
import { and, eq, inArray, type SQL, sql } from 'drizzle-orm';
import { alias } from 'drizzle-orm/sqlite-core';
import type { ModelAlias } from '../domain/model-alias.ts';
import type { Database } from './client.ts';
import type { ApiKeyRow } from './keys.ts';
import { account, apiKey, modelAlias } from './schema.ts';
import { memberMay, sessionIsLive } from './standing.ts';

export interface KeyWithAccount {
  readonly key: ApiKeyRow;
  readonly account: typeof account.$inferSelect;
  /** The management key whose cap the key shares; null: it shares none. */
  readonly manager: Pick<ApiKeyRow, 'id' | 'capNanoUsd' | 'capPeriod'> | null;
  /** The account's aliases, read in the same statement, so that a request needs no look-up of its own for them. */
  readonly aliases: readonly ModelAlias[];
}

/**
 * Finds a key by its hash, under whichever of the accepted peppers it was made, with its account. Revoked and expired
 * keys are included: the caller decides what they may do.
 */
export function findKeyByHash(db: Database, ...hashes: readonly string[]): Promise<KeyWithAccount | null> {
  return keyWithAccount(db, inArray(apiKey.hash, [...hashes]));
}

/** Stores a key's hash under the pepper in use, in place of its hash under an earlier one. */
export async function rehashKey(
  db: Database,
  { keyId, from, to, pepperId }: { keyId: string; from: string; to: string; pepperId: string },
): Promise<void> {
  await db
    .update(apiKey)
    .set({ hash: to, pepperId })
    .where(and(eq(apiKey.id, keyId), eq(apiKey.hash, from)));
}

/** Like findKeyByHash, by id. */
export function findKeyById(db: Database, keyId: string): Promise<KeyWithAccount | null> {
  return keyWithAccount(db, eq(apiKey.id, keyId));
}

/** Like findKeyById, while the person in whose session a token of the key was made may still use the playground. */
export function findKeyInSession(
  db: Database,
  which: { keyId: string; personId: string; sessionId: string; nowMs: number },
): Promise<KeyWithAccount | null> {
  const { keyId, personId, nowMs } = which;
  const may = memberMay({ accountId: sql`${apiKey.accountId}`, personId }, 'write', 'playground');
  return keyWithAccount(db, and(eq(apiKey.id, keyId), may, sessionIsLive(which, nowMs))!);
}

async function keyWithAccount(db: Database, which: SQL): Promise<KeyWithAccount | null> {
  const manager = alias(apiKey, 'manager');
  const row = await db
    .select({
      key: apiKey,
      account,
      manager: { id: manager.id, capNanoUsd: manager.capNanoUsd, capPeriod: manager.capPeriod },
      aliases:
        sql<string>`(select json_group_array(json_object('name', a.name, 'modelId', a.model_id, 'effort', a.effort))
        from ${modelAlias} as a where a.account_id = ${account.id})`.mapWith(
          (json: string) => JSON.parse(json) as ModelAlias[],
        ),
    })
    .from(apiKey)
    .innerJoin(account, eq(account.id, apiKey.accountId))
    // All rows of a management key's lineage have the cap of its first: management keys are never changed.
    .leftJoin(manager, eq(manager.id, apiKey.managerId))
    .where(which)
    .get();
  return row ?? null;
}
