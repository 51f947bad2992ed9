/** Orders that a saved card pays: at most one open per account, and per month no more than its owner allows. */
import { and, eq, gte, inArray, sql } from 'drizzle-orm';
import type { DeclineReason } from '../domain/decline-reasons.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { turnOffIfChanged } from './auto-recharge.ts';
import type { Database } from './client.ts';
import { addEvent, type EventRow, type PaymentOrder } from './payments.ts';
import { paymentOrder } from './schema.ts';

/** The first instant of the calendar month, UTC. */
export function monthStartMs(nowMs: number): number {
  const now = new Date(nowMs);
  return Date.UTC(now.getUTCFullYear(), now.getUTCMonth());
}

/**
 * Opens a recharge, checking every condition in the same statement: recharge is on with this card, no other is open,
 * and the monthly maximum allows it.
 * @returns null: one of the conditions does not hold
 */
export async function openRecharge(
  db: Database,
  recharge: { orderId: string; accountId: string; methodRef: string; currency: string; nowMs: number },
): Promise<PaymentOrder | null> {
  const { orderId, accountId, methodRef, currency, nowMs } = recharge;
  const opened = await db
    .insert(paymentOrder)
    // INSERT … SELECT: the table's columns in their order. The unique index on open recharges rejects a second one.
    .select(sql`
      SELECT ${orderId}, account_id, provider, 'recharge', amount_nano_usd, ${currency}, 'open', ${nowMs}, NULL, NULL, NULL,
        0, NULL, NULL
      FROM auto_recharge
      WHERE account_id = ${accountId} AND enabled AND method_ref = ${methodRef}
        AND amount_nano_usd + (
          SELECT coalesce(sum(amount_nano_usd), 0) FROM payment_order
          WHERE account_id = ${accountId} AND kind = 'recharge' AND state IN ('open', 'paid')
            AND created_at_ms >= ${monthStartMs(nowMs)}
        ) <= monthly_max_nano_usd`)
    .onConflictDoNothing()
    .returning();
  return opened[0] ?? null;
}

export async function findOpenRecharge(db: Database, accountId: string): Promise<PaymentOrder | null> {
  const { kind, state } = paymentOrder;
  const open = and(eq(paymentOrder.accountId, accountId), eq(kind, 'recharge'), eq(state, 'open'));
  const rows = await db.select().from(paymentOrder).where(open);
  return rows[0] ?? null;
}

/** The sum of this month's paid and open recharges. */
export async function rechargedInMonth(db: Database, accountId: string, nowMs: number): Promise<NanoUsd> {
  const { kind, state, createdAtMs } = paymentOrder;
  const rows = await db
    .select({ sum: sql<number>`coalesce(sum(${paymentOrder.amountNanoUsd}), 0)` })
    .from(paymentOrder)
    .where(
      and(
        eq(paymentOrder.accountId, accountId),
        eq(kind, 'recharge'),
        inArray(state, ['open', 'paid']),
        gte(createdAtMs, monthStartMs(nowMs)),
      ),
    );
  return nanoUsd(rows[0]!.sum);
}

/** Closes a recharge for which no money moved. One that was paid meanwhile stays paid. */
export async function closeUnchargedRecharge(db: Database, orderId: string): Promise<void> {
  await closeOpen(db, orderId);
}

/** Closes a declined recharge and turns recharge off, in one batch. A late decline changes nothing. */
export async function declineRecharge(
  db: Database,
  order: PaymentOrder,
  { why, event, nowMs }: { why: DeclineReason; event: EventRow | null; nowMs: number },
): Promise<void> {
  const close = closeOpen(db, order.id);
  const off = turnOffIfChanged(db, order.accountId, why, nowMs);
  await db.batch(event === null ? [close, off] : [close, off, addEvent(db, event)]);
}

function closeOpen(db: Database, orderId: string) {
  return db
    .update(paymentOrder)
    .set({ state: 'closed' })
    .where(
      and(eq(paymentOrder.id, orderId), eq(paymentOrder.kind, 'recharge'), eq(paymentOrder.state, 'open')),
    );
}
