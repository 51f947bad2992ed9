/** Promo codes and their redemptions. The database alone decides whether a redemption is left. */
import { and, count, desc, eq, sql } from 'drizzle-orm';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { promoCode, promoRedemption } from './schema.ts';

export type PromoCodeRow = typeof promoCode.$inferSelect;

/** Adds a code. @returns false when the code already exists */
export async function insertPromoCode(db: Database, row: PromoCodeRow, entry: AuditEntry): Promise<boolean> {
  const [added] = await db.batch([
    db.insert(promoCode).values(row).onConflictDoNothing(),
    addAuditIfChanged(db, entry),
  ]);
  return added.meta.changes === 1;
}

export async function findPromoCode(db: Database, code: string): Promise<PromoCodeRow | null> {
  return (await db.select().from(promoCode).where(eq(promoCode.code, code)).get()) ?? null;
}

/** Lists codes, newest first, with how often each was redeemed. */
export function listPromoCodes(
  db: Database,
  limit: number,
): Promise<(PromoCodeRow & { redeemed: number })[]> {
  const redeemed = db
    .select({ n: count() })
    .from(promoRedemption)
    .where(eq(promoRedemption.code, promoCode.code));
  return db
    .select({
      code: promoCode.code,
      amountNanoUsd: promoCode.amountNanoUsd,
      redemptionsMax: promoCode.redemptionsMax,
      expiresAtMs: promoCode.expiresAtMs,
      createdAtMs: promoCode.createdAtMs,
      createdBy: promoCode.createdBy,
      redeemed: sql<number>`(${redeemed})`,
    })
    .from(promoCode)
    .orderBy(desc(promoCode.createdAtMs), desc(promoCode.code))
    .limit(limit);
}

export async function hasRedeemed(
  db: Database,
  { code, accountId }: { code: string; accountId: string },
): Promise<boolean> {
  const row = await db
    .select({ atMs: promoRedemption.redeemedAtMs })
    .from(promoRedemption)
    .where(and(eq(promoRedemption.code, code), eq(promoRedemption.accountId, accountId)))
    .get();
  return row !== undefined;
}

/**
 * Takes one redemption if one is left. A single statement counts and takes, so however many callers there are, never
 * one too many is given.
 * @returns whether this call took it for the account
 */
export async function takeRedemption(
  db: Database,
  { code, accountId, nowMs }: { code: string; accountId: string; nowMs: number },
): Promise<boolean> {
  const taken = await db
    .insert(promoRedemption)
    .select(
      sql`select code, ${accountId}, ${nowMs} from promo_code
        where code = ${code} and (expires_at_ms is null or expires_at_ms > ${nowMs})
        and (select count(*) from promo_redemption as taken where taken.code = promo_code.code) < redemptions_max`,
    )
    .onConflictDoNothing()
    .returning({ code: promoRedemption.code });
  return taken.length === 1;
}
