/** Aliases of models, by account. Requests get them with their key (find-key.ts). */
import { and, eq, sql } from 'drizzle-orm';
import { MAXIMA } from '../domain/maxima.ts';
import type { ModelAlias } from '../domain/model-alias.ts';
import { addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { insertIf } from './insert-if.ts';
import { modelAlias } from './schema.ts';
import { mayManageKeys } from './standing.ts';

export type ModelAliasRow = typeof modelAlias.$inferSelect;

export const ALIASES_MAX = MAXIMA.model_aliases.count;

/** Lists the account's aliases by name. */
export function listAliases(db: Database, accountId: string): Promise<ModelAliasRow[]> {
  return db.select().from(modelAlias).where(eq(modelAlias.accountId, accountId)).orderBy(modelAlias.name);
}

/**
 * Adds an alias, or gives the one of that name another model. One statement counts, checks and writes.
 * @param request.actor the person or management key that does it
 * @returns null: the account has ALIASES_MAX already, or the actor may not do it (any more)
 */
export async function putAlias(
  db: Database,
  request: ModelAlias & { accountId: string; actor: string; nowMs: number },
): Promise<ModelAliasRow | null> {
  const { accountId, name, modelId, effort, actor, nowMs } = request;
  const row = { accountId, name, modelId, effort, createdAtMs: nowMs, createdBy: actor };
  const hasRoom = sql`(exists (select 1 from ${modelAlias} as a where a.account_id = ${accountId} and a.name = ${name})
    or (select count(*) from ${modelAlias} as a where a.account_id = ${accountId}) < ${ALIASES_MAX})`;
  const [rows] = await db.batch([
    insertIf(db, modelAlias, row, sql`${mayManageKeys({ accountId, actor, nowMs })} and ${hasRoom}`)
      .onConflictDoUpdate({
        target: [modelAlias.accountId, modelAlias.name],
        set: { modelId, effort, createdAtMs: nowMs, createdBy: actor },
      })
      .returning(),
    addAuditIfChanged(db, {
      ...{ atMs: nowMs, actor, accountId, action: 'alias.set', subject: accountId },
      detail: { name, what: effort === null ? modelId : `${modelId} ${effort}` },
    }),
  ]);
  return rows[0] ?? null;
}

/** Removes an alias. @returns false: the account has none of this name, or the actor may not do it (any more) */
export async function removeAlias(
  db: Database,
  which: { accountId: string; name: string; actor: string; nowMs: number },
): Promise<boolean> {
  const { accountId, name, actor, nowMs } = which;
  const [rows] = await db.batch([
    db
      .delete(modelAlias)
      .where(
        and(
          eq(modelAlias.accountId, accountId),
          eq(modelAlias.name, name),
          mayManageKeys({ accountId, actor, nowMs }),
        ),
      )
      .returning(),
    addAuditIfChanged(db, {
      ...{ atMs: nowMs, actor, accountId, action: 'alias.removed', subject: accountId },
      detail: { name },
    }),
  ]);
  return rows.length > 0;
}
