/** Dated prices. Versions are added and ended, each with its audit row in the same batch; none is ever changed. */
import { and, asc, eq, gte, inArray, isNull, lt, or, sql } from 'drizzle-orm';
import type { Tariff } from '../domain/pricing.ts';
import { type AuditRow, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { audit, price } from './schema.ts';

export type PriceRow = typeof price.$inferSelect;

/** A version before it gets its number. */
export type NewPrice = Omit<PriceRow, 'id' | 'toMs'>;

export async function findPrice(db: Database, priceId: string): Promise<PriceRow | null> {
  return (await db.select().from(price).where(eq(price.id, priceId)).get()) ?? null;
}

/**
 * Tells whether a model's prices have changed since they were read: none is ever removed, and only an end can be set or
 * moved.
 */
export interface PriceState {
  readonly versions: number;
  readonly ends: number;
}

export function priceStateOf(prices: readonly PriceRow[]): PriceState {
  return { versions: prices.length, ends: prices.reduce((sum, { toMs }) => sum + (toMs ?? 0), 0) };
}

function isStill(modelId: string, { versions, ends }: PriceState) {
  return sql`(select count(*) = ${versions} and coalesce(sum(to_ms), 0) = ${ends} from price where model_id = ${modelId})`;
}

/** Lists every past, current and future version, in the order in which they take effect. */
export function listPrices(db: Database): Promise<PriceRow[]> {
  return db
    .select()
    .from(price)
    .orderBy(asc(price.modelId), asc(price.tariff), asc(price.fromMs), asc(price.id));
}

/** Lists the audit rows of versions: who added and ended each, and when. Versions from a migration have none. */
export function listPriceChanges(db: Database): Promise<AuditRow[]> {
  const ids = db.select({ id: price.id }).from(price);
  return db.select().from(audit).where(inArray(audit.subject, ids)).orderBy(asc(audit.atMs), asc(audit.id));
}

/**
 * Adds a version under the next number of its kind. One statement finds the number and checks for a rival that starts
 * at the same instant, so two operators at once get two numbers, or one of them nothing.
 * @param seen the model's prices beside which it was found to be right
 * @returns its id; null when there is such a rival, or when the prices have changed since
 */
export async function insertPrice(
  db: Database,
  { row, seen }: { row: NewPrice; seen: PriceState },
  entry: { atMs: number; actor: string; detail: AuditRow['detail'] },
): Promise<string | null> {
  const prefix = `${row.modelId}/${kindOf(row)}/`;
  const number = sql`(select coalesce(max(cast(substr(id, ${prefix.length + 1}) as integer)), 0) + 1 from price
    where model_id = ${row.modelId} and substr(id, 1, ${prefix.length}) = ${prefix})`;
  const rival = sql`select id from price where model_id = ${row.modelId} and tariff = ${row.tariff}
    and from_ms = ${row.fromMs} and (daily_from_minute is null) = (${row.dailyFromMinute} is null)`;
  const [added] = await db.batch([
    db
      .insert(price)
      // INSERT … SELECT: the table's columns in their order.
      .select(
        sql`select ${prefix} || ${number}, ${row.modelId}, ${row.tariff}, ${row.fromMs}, null,
          ${row.dailyFromMinute}, ${row.dailyToMinute}, ${row.cacheHitNanoUsd}, ${row.cacheMissNanoUsd},
          ${row.outputNanoUsd}, ${row.source} where not exists (${rival}) and ${isStill(row.modelId, seen)}`,
      )
      .returning({ id: price.id }),
    addAuditIfChanged(db, { ...entry, action: 'price.added', subject: sql`(${rival})` }),
  ]);
  return added[0]?.id ?? null;
}

/**
 * Sets the end of a version, unless it already ends before `soonestMs`, or the model's prices have changed since `seen`.
 * @returns whether this call set it
 */
export async function setPriceEnd(
  db: Database,
  change: { modelId: string; priceId: string; toMs: number; soonestMs: number; seen: PriceState },
  entry: { atMs: number; actor: string; detail: AuditRow['detail'] },
): Promise<boolean> {
  const { modelId, priceId, toMs, soonestMs, seen } = change;
  const [changed] = await db.batch([
    db
      .update(price)
      .set({ toMs })
      .where(
        and(
          eq(price.id, priceId),
          lt(price.fromMs, toMs),
          or(isNull(price.toMs), gte(price.toMs, soonestMs)),
          isStill(modelId, seen),
        ),
      ),
    addAuditIfChanged(db, { ...entry, action: 'price.ended', subject: priceId }),
  ]);
  return changed.meta.changes === 1;
}

/** The middle part of an id, as in the first catalogue: a daily window makes a standard price an off-peak one. */
function kindOf({ tariff, dailyFromMinute }: { tariff: Tariff; dailyFromMinute: number | null }): string {
  return tariff === 'standard' && dailyFromMinute !== null ? 'off-peak' : tariff;
}
