/** Payment orders, the providers' events about them, and later reversals. */
import { and, asc, desc, eq, isNull, ne, sql } from 'drizzle-orm';
import type { NanoUsd } from '../domain/money.ts';
import { addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { issueInvoice } from './invoices.ts';
import { paymentCorrection, paymentEvent, paymentOrder, paymentReversal } from './schema.ts';

export type PaymentOrder = typeof paymentOrder.$inferSelect;
export type PaymentCorrection = typeof paymentCorrection.$inferSelect;

export async function addOrder(db: Database, order: typeof paymentOrder.$inferInsert): Promise<void> {
  await db.insert(paymentOrder).values(order);
}

export async function findOrder(db: Database, orderId: string): Promise<PaymentOrder | null> {
  const rows = await db.select().from(paymentOrder).where(eq(paymentOrder.id, orderId));
  return rows[0] ?? null;
}

/** Lists orders, newest first. */
export function listOrders(db: Database, accountId: string, limit: number): Promise<PaymentOrder[]> {
  return db
    .select()
    .from(paymentOrder)
    .where(eq(paymentOrder.accountId, accountId))
    .orderBy(desc(paymentOrder.createdAtMs), desc(paymentOrder.id))
    .limit(limit);
}

interface EventKey {
  readonly provider: string;
  readonly eventId: string;
}

export async function isEventKnown(db: Database, { provider, eventId }: EventKey): Promise<boolean> {
  const rows = await db
    .select({ eventId: paymentEvent.eventId })
    .from(paymentEvent)
    .where(and(eq(paymentEvent.provider, provider), eq(paymentEvent.eventId, eventId)));
  return rows.length > 0;
}

export interface EventRow extends EventKey {
  /** For an event about a saved card: the account's id. */
  readonly orderId: string;
  readonly receivedAtMs: number;
}

/** A statement that stores an event's id; repeating it changes nothing. */
export function addEvent(db: Database, event: EventRow) {
  return db.insert(paymentEvent).values(event).onConflictDoNothing();
}

/** Stores the event, marks its order paid and issues the invoice, in one batch; a repetition changes nothing. */
export async function markPaid(db: Database, event: EventRow, taxNanoUsd: NanoUsd): Promise<void> {
  await db.batch([
    addEvent(db, event),
    db
      .update(paymentOrder)
      .set({ state: 'paid', paidAtMs: event.receivedAtMs, taxNanoUsd })
      .where(and(eq(paymentOrder.id, event.orderId), ne(paymentOrder.state, 'paid'))),
    issueInvoice(db, { orderId: event.orderId, nowMs: event.receivedAtMs }),
  ]);
}

/** Claims the order's receipt e-mail. @returns whether this call is the one that sends it */
export async function claimReceipt(db: Database, orderId: string, nowMs: number): Promise<boolean> {
  const claimed = await db
    .update(paymentOrder)
    .set({ receiptQueuedAtMs: nowMs })
    .where(and(eq(paymentOrder.id, orderId), isNull(paymentOrder.receiptQueuedAtMs)))
    .returning({ id: paymentOrder.id });
  return claimed.length === 1;
}

/** Gives the claim back, when the e-mail could not be queued. */
export async function releaseReceipt(db: Database, orderId: string): Promise<void> {
  await db.update(paymentOrder).set({ receiptQueuedAtMs: null }).where(eq(paymentOrder.id, orderId));
}

/** Stores the event and closes its order, in one batch. A paid order stays paid. */
export async function markClosed(db: Database, event: EventRow): Promise<void> {
  await db.batch([
    addEvent(db, event),
    db
      .update(paymentOrder)
      .set({ state: 'closed' })
      .where(and(eq(paymentOrder.id, event.orderId), eq(paymentOrder.state, 'open'))),
  ]);
}

/** Stores the event, and that an attempt to pay the order was declined, in one batch. The order stays open for another. */
export async function markDeclined(db: Database, event: EventRow): Promise<void> {
  await db.batch([
    addEvent(db, event),
    db
      .update(paymentOrder)
      .set({ declinedAtMs: event.receivedAtMs })
      .where(and(eq(paymentOrder.id, event.orderId), eq(paymentOrder.state, 'open'))),
  ]);
}

/** Stores the event and the URL of the provider's invoice, in one batch. */
export async function markInvoiced(db: Database, event: EventRow, invoiceUrl: string): Promise<void> {
  await db.batch([
    addEvent(db, event),
    db.update(paymentOrder).set({ invoiceUrl }).where(eq(paymentOrder.id, event.orderId)),
  ]);
}

/**
 * Stores the total that the provider took back through `source`, and the step by which the account follows: the
 * difference to the steps before. Both are one batch. The total taken is never more than the order was and never less
 * than 0.
 */
export async function addReversal(
  db: Database,
  order: PaymentOrder,
  fact: { source: string; amountNanoUsd: NanoUsd; returned: boolean; nowMs: number },
): Promise<void> {
  const { source, amountNanoUsd, returned, nowMs } = fact;
  await db.batch([
    db
      .insert(paymentReversal)
      .values({ orderId: order.id, source, amountNanoUsd, returned, updatedAtMs: nowMs })
      .onConflictDoUpdate({
        target: [paymentReversal.orderId, paymentReversal.source],
        // Events arrive late and twice, so the amount only grows, and `returned` never becomes false again.
        set: {
          amountNanoUsd: sql`max(amount_nano_usd, excluded.amount_nano_usd)`,
          returned: sql`max(returned, excluded.returned)`,
          updatedAtMs: nowMs,
        },
      }),
    db
      .insert(paymentCorrection)
      // INSERT … SELECT: the table's columns in their order.
      .select(sql`
        SELECT ${order.id}, seq, step, NULL, ${nowMs} FROM (
          SELECT 1 + coalesce(max(seq), 0) AS seq, -coalesce(sum(amount_nano_usd), 0) - (
            SELECT min(max(coalesce(sum(amount_nano_usd), 0), 0), ${order.amountNanoUsd})
            FROM payment_reversal WHERE order_id = ${order.id} AND returned = 0
          ) AS step
          FROM payment_correction WHERE order_id = ${order.id}
        ) WHERE step <> 0`),
  ]);
}

/** Lists an order's steps, oldest first. */
export function listCorrections(db: Database, orderId: string): Promise<PaymentCorrection[]> {
  return db
    .select()
    .from(paymentCorrection)
    .where(eq(paymentCorrection.orderId, orderId))
    .orderBy(asc(paymentCorrection.seq));
}

/** Stores the outcome of a step, once. An uncollected amount, and a debt that is cancelled, also get an audit row. */
export async function closeCorrection(
  db: Database,
  order: PaymentOrder,
  { seq, amountNanoUsd }: PaymentCorrection,
  uncollectedNanoUsd: NanoUsd,
  nowMs: number,
): Promise<void> {
  const close = db
    .update(paymentCorrection)
    .set({ uncollectedNanoUsd })
    .where(
      and(
        eq(paymentCorrection.orderId, order.id),
        eq(paymentCorrection.seq, seq),
        isNull(paymentCorrection.uncollectedNanoUsd),
      ),
    );
  if (uncollectedNanoUsd === 0) {
    await close;
    return;
  }
  const audit = addAuditIfChanged(db, {
    atMs: nowMs,
    actor: order.provider,
    action: uncollectedNanoUsd > 0 ? 'payment.uncollected' : 'payment.debt_cancelled',
    subject: order.id,
    detail: {
      account: order.accountId,
      reference: `${order.id}/${seq}`,
      amountNanoUsd,
      uncollectedNanoUsd,
    },
  });
  await db.batch([close, audit]);
}
