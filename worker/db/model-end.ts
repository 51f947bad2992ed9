/** The announced ends of models, and the accounts that are told of them. */
import { and, asc, eq, gt, gte, isNotNull, isNull, lte, ne, or, sql } from 'drizzle-orm';
import type { EndingModel, HourOfUse, ModelEnd } from '../domain/model-end.ts';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { model, modelEndRun, notice, usageHour } from './schema.ts';

export type ModelEndRun = typeof modelEndRun.$inferSelect;

/**
 * Announces an end, or moves it to a later time; unless another operator has just set one that is later still. Nothing more
 * is told of another end, nor of a withdrawal of this one, whose stages then begin anew.
 * @returns whether it was set
 */
export async function setModelEnd(
  db: Database,
  end: { modelId: string; endsAtMs: number; successorId: string | null; nowMs: number },
  entry: AuditEntry,
): Promise<boolean> {
  const { modelId, endsAtMs, successorId, nowMs } = end;
  const [changed] = await db.batch([
    db
      .update(model)
      .set({ endsAtMs, successorId, endAnnouncedAtMs: sql`coalesce(${model.endAnnouncedAtMs}, ${nowMs})` })
      .where(
        and(
          eq(model.id, modelId),
          or(isNull(model.endsAtMs), and(gt(model.endsAtMs, nowMs), lte(model.endsAtMs, endsAtMs))),
        ),
      )
      .returning({ id: model.id }),
    addAuditIfChanged(db, entry),
    db
      .delete(modelEndRun)
      .where(
        and(
          eq(modelEndRun.modelId, modelId),
          or(ne(modelEndRun.endsAtMs, endsAtMs), eq(modelEndRun.stage, 'withdrawn')),
          sql`exists (select 1 from model where id = ${modelId} and ends_at_ms = ${endsAtMs})`,
        ),
      ),
  ]);
  return changed.length === 1;
}

/** Withdraws an end that has not come, and begins to tell those who were told of it. @returns whether there was one */
export async function withdrawModelEnd(
  db: Database,
  { id, endsAtMs, nowMs }: EndingModel & { nowMs: number },
  entry: AuditEntry,
): Promise<boolean> {
  const isWithdrawn = sql`not exists (select 1 from model where id = ${id} and ends_at_ms is not null)`;
  const [changed] = await db.batch([
    db
      .update(model)
      .set({ endsAtMs: null, successorId: null, endAnnouncedAtMs: null })
      .where(and(eq(model.id, id), eq(model.endsAtMs, endsAtMs), gt(model.endsAtMs, nowMs)))
      .returning({ id: model.id }),
    addAuditIfChanged(db, entry),
    db
      .delete(modelEndRun)
      .where(and(eq(modelEndRun.modelId, id), gt(modelEndRun.endsAtMs, nowMs), isWithdrawn)),
    // INSERT … SELECT: the table's columns in their order.
    db
      .insert(modelEndRun)
      .select(sql`select ${id}, ${endsAtMs}, 'withdrawn', '', 0, ${nowMs} where ${isWithdrawn}`),
  ]);
  return changed.length === 1;
}

/** The models whose end is or was announced. */
export async function endingModels(db: Database): Promise<EndingModel<ModelEnd>[]> {
  const rows = await db
    .select({
      id: model.id,
      endsAtMs: model.endsAtMs,
      endAnnouncedAtMs: model.endAnnouncedAtMs,
      successorId: model.successorId,
    })
    .from(model)
    .where(isNotNull(model.endsAtMs));
  return rows.map((row) => ({ ...row, endsAtMs: row.endsAtMs! }));
}

/** Begins a stage of the notice; one that has begun stays as it is. */
export async function beginRun(
  db: Database,
  run: Pick<ModelEndRun, 'modelId' | 'endsAtMs' | 'stage' | 'beganAtMs'>,
): Promise<void> {
  await db
    .insert(modelEndRun)
    .values({ ...run, afterAccountId: '', done: false })
    .onConflictDoNothing();
}

/** A stage whose accounts are not all told; null: there is none. */
export async function openRun(db: Database): Promise<ModelEndRun | null> {
  return (
    (await db
      .select()
      .from(modelEndRun)
      .where(eq(modelEndRun.done, false))
      .orderBy(asc(modelEndRun.endsAtMs), asc(modelEndRun.modelId))
      .limit(1)
      .get()) ?? null
  );
}

export async function advanceRun(
  db: Database,
  { modelId, endsAtMs, stage }: ModelEndRun,
  set: { afterAccountId: string; done: boolean },
): Promise<void> {
  await db
    .update(modelEndRun)
    .set(set)
    .where(
      and(eq(modelEndRun.modelId, modelId), eq(modelEndRun.endsAtMs, endsAtMs), eq(modelEndRun.stage, stage)),
    );
}

/** Ids of accounts that used a model since `sinceMs`, after an id, in their order. */
export async function accountsThatUsed(
  db: Database,
  { modelId, sinceMs, after, limit }: { modelId: string; sinceMs: number; after: string; limit: number },
): Promise<string[]> {
  const rows = await db
    .selectDistinct({ id: usageHour.accountId })
    .from(usageHour)
    .where(
      and(gt(usageHour.accountId, after), eq(usageHour.modelId, modelId), gte(usageHour.hourMs, sinceMs)),
    )
    .orderBy(asc(usageHour.accountId))
    .limit(limit);
  return rows.map(({ id }) => id);
}

/** Ids of accounts whose last word on a model is that it ends, after an id, in their order. */
export async function accountsToldOfEnd(
  db: Database,
  { modelId, after, limit }: { modelId: string; after: string; limit: number },
): Promise<string[]> {
  const rows = await db
    .selectDistinct({ id: notice.accountId })
    .from(notice)
    .where(
      and(
        gt(notice.accountId, after),
        eq(notice.kind, 'model.ending'),
        eq(sql`json_extract(${notice.facts}, '$.modelId')`, modelId),
        // An account that left the model before it was announced again has heard of no other end.
        sql`not exists (select 1 from notice as later where later.account_id = ${notice.accountId}
          and later.kind = 'model.end_withdrawn' and later.at_ms > ${notice.atMs}
          and json_extract(later.facts, '$.modelId') = ${modelId})`,
      ),
    )
    .orderBy(asc(notice.accountId))
    .limit(limit);
  return rows.map(({ id }) => id);
}

/** An account's use of a model since `sinceMs`, by hour. */
export function hoursOfUse(
  db: Database,
  { accountId, modelId, sinceMs }: { accountId: string; modelId: string; sinceMs: number },
): Promise<HourOfUse[]> {
  return db
    .select({
      hourMs: usageHour.hourMs,
      cachedTokens: sql<number>`sum(${usageHour.cachedTokens})`,
      uncachedTokens: sql<number>`sum(${usageHour.uncachedTokens})`,
      outputTokens: sql<number>`sum(${usageHour.reasoningTokens} + ${usageHour.answerTokens})`,
      chargeNanoUsd: sql<number>`sum(${usageHour.chargeNanoUsd})`,
    })
    .from(usageHour)
    .where(
      and(eq(usageHour.accountId, accountId), eq(usageHour.modelId, modelId), gte(usageHour.hourMs, sinceMs)),
    )
    .groupBy(usageHour.hourMs);
}
