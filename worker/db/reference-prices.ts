/** Other providers' list prices. A price is never changed: it ends, and the next one is a row of its own. */
import { and, asc, eq, gt, isNull, lt, or, sql } from 'drizzle-orm';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { referencePrice } from './schema.ts';

export type ReferencePrice = typeof referencePrice.$inferSelect;

/** Prices that have not ended: every public page with prices shows all of them. */
export const REFERENCE_PRICES_MAX = 20;

/** Loads all of them, oldest first. */
export function loadReferencePrices(db: Database): Promise<ReferencePrice[]> {
  return db.select().from(referencePrice).orderBy(asc(referencePrice.fromMs), asc(referencePrice.id));
}

/** @returns false when there are as many as there may be */
export async function addReferencePrice(
  db: Database,
  row: ReferencePrice,
  { atMs, actor }: Pick<AuditEntry, 'atMs' | 'actor'>,
): Promise<boolean> {
  const [added] = await db.batch([
    db
      .insert(referencePrice)
      // INSERT … SELECT: the table's columns in their order.
      .select(
        sql`select ${row.id}, ${row.name}, ${row.fromMs}, ${row.toMs}, ${row.cacheHitNanoUsd}, ${row.cacheMissNanoUsd},
          ${row.outputNanoUsd}, ${row.source}
          where (select count(*) from reference_price
            where to_ms is null or (to_ms > ${atMs} and to_ms > from_ms)) < ${REFERENCE_PRICES_MAX}`,
      )
      .returning({ id: referencePrice.id }),
    addAuditIfChanged(db, {
      ...{ atMs, actor, action: 'reference_price.added', subject: row.id },
      detail: { name: row.name, source: row.source },
    }),
  ]);
  return added.length === 1;
}

/** Ends a price that has no end yet, after it began or before. @returns the row; null: there is no such price */
export async function endReferencePrice(
  db: Database,
  { id, toMs }: { id: string; toMs: number },
  { atMs, actor }: Pick<AuditEntry, 'atMs' | 'actor'>,
): Promise<ReferencePrice | null> {
  const [ended] = await db.batch([
    db
      .update(referencePrice)
      // One that ends before it began was never in force.
      .set({ toMs: sql`max(${toMs}, ${referencePrice.fromMs})` })
      .where(
        and(
          eq(referencePrice.id, id),
          isNull(referencePrice.toMs),
          or(lt(referencePrice.fromMs, toMs), gt(referencePrice.fromMs, atMs)),
        ),
      )
      .returning(),
    addAuditIfChanged(db, {
      ...{ atMs, actor, action: 'reference_price.ended', subject: id },
      detail: { to: new Date(toMs).toISOString() },
    }),
  ]);
  return ended[0] ?? null;
}
