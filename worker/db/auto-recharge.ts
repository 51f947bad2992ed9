/**
 * An account's customer id at its payment provider, its saved card, and the rule by which that card is charged
 * without a person present.
 */
import { and, eq, isNotNull, isNull, ne, or, sql } from 'drizzle-orm';
import type { DeclineReason, RechargeOffReason } from '../domain/decline-reasons.ts';
import type { NanoUsd } from '../domain/money.ts';
import type { Database } from './client.ts';
import { autoRecharge } from './schema.ts';

export type AutoRecharge = typeof autoRecharge.$inferSelect;

export async function findAutoRecharge(db: Database, accountId: string): Promise<AutoRecharge | null> {
  const rows = await db.select().from(autoRecharge).where(eq(autoRecharge.accountId, accountId));
  return rows[0] ?? null;
}

export async function findByCustomer(
  db: Database,
  { provider, customerRef }: { provider: string; customerRef: string },
): Promise<AutoRecharge | null> {
  const rows = await db
    .select()
    .from(autoRecharge)
    .where(and(eq(autoRecharge.provider, provider), eq(autoRecharge.customerRef, customerRef)));
  return rows[0] ?? null;
}

interface Customer {
  readonly accountId: string;
  readonly provider: string;
  readonly customerRef: string;
  readonly nowMs: number;
}

/**
 * Stores the account's customer id unless it has one already. With another provider, everything stored for the last
 * one is discarded.
 */
export async function saveCustomer(
  db: Database,
  { accountId, provider, customerRef, nowMs }: Customer,
): Promise<void> {
  const fresh = {
    provider,
    customerRef,
    methodRef: null,
    methodLabel: null,
    enabled: false,
    offReason: null,
    updatedAtMs: nowMs,
  };
  await db
    .insert(autoRecharge)
    .values({ accountId, ...fresh })
    .onConflictDoUpdate({
      target: autoRecharge.accountId,
      set: fresh,
      setWhere: or(ne(autoRecharge.provider, provider), isNull(autoRecharge.customerRef)),
    });
}

/** Stores a card in place of the last one. The last card's decline no longer matters, but recharge stays on or off. */
export async function saveCard(
  db: Database,
  card: Customer & { methodRef: string; methodLabel: string },
): Promise<void> {
  const { accountId, provider, customerRef, methodRef, methodLabel, nowMs } = card;
  await db
    .update(autoRecharge)
    .set({ methodRef, methodLabel, offReason: null, updatedAtMs: nowMs })
    .where(
      and(
        eq(autoRecharge.accountId, accountId),
        eq(autoRecharge.provider, provider),
        eq(autoRecharge.customerRef, customerRef),
      ),
    );
}

/** Removes the card, only if it is still the given one. */
export async function dropCard(
  db: Database,
  { accountId, methodRef, nowMs }: { accountId: string; methodRef: string; nowMs: number },
): Promise<void> {
  await db
    .update(autoRecharge)
    .set({ methodRef: null, methodLabel: null, enabled: false, offReason: null, updatedAtMs: nowMs })
    .where(and(eq(autoRecharge.accountId, accountId), eq(autoRecharge.methodRef, methodRef)));
}

export interface RechargeRule {
  readonly belowNanoUsd: NanoUsd;
  readonly amountNanoUsd: NanoUsd;
  readonly monthlyMaxNanoUsd: NanoUsd;
}

/** Turns recharge on with `rule`. @returns false: there is no card to charge */
export async function turnOn(
  db: Database,
  accountId: string,
  rule: RechargeRule,
  nowMs: number,
): Promise<boolean> {
  const changed = await db
    .update(autoRecharge)
    .set({ ...rule, enabled: true, offReason: null, updatedAtMs: nowMs })
    .where(and(eq(autoRecharge.accountId, accountId), isNotNull(autoRecharge.methodRef)))
    .returning({ accountId: autoRecharge.accountId });
  return changed.length === 1;
}

/** Turns recharge off. @param why null: its owner turned it off */
export async function turnOff(
  db: Database,
  { accountId, why, nowMs }: { accountId: string; why: RechargeOffReason | null; nowMs: number },
): Promise<void> {
  await db
    .update(autoRecharge)
    .set({ enabled: false, offReason: why, updatedAtMs: nowMs })
    .where(eq(autoRecharge.accountId, accountId));
}

/** For a batch: turns recharge off when the statement just before it changed exactly one row. */
export function turnOffIfChanged(db: Database, accountId: string, why: DeclineReason, nowMs: number) {
  return db
    .update(autoRecharge)
    .set({ enabled: false, offReason: why, updatedAtMs: nowMs })
    .where(and(eq(autoRecharge.accountId, accountId), sql`changes() = 1`));
}
