/** Payments that were begun, the providers' events about them, and what was taken back afterwards. */
import { and, asc, desc, eq, isNull, ne, sql } from 'drizzle-orm';
import type { NanoUsd } from '../domain/money.ts';
import { addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { issueInvoice } from './invoices.ts';
import { paymentCorrection, paymentEvent, paymentOrder, paymentReversal } from './schema.ts';

export type PaymentOrder = typeof paymentOrder.$inferSelect;
export type PaymentCorrection = typeof paymentCorrection.$inferSelect;

export async function addOrder(db: Database, order: Omit<PaymentOrder, 'state' | 'paidAtMs'>): Promise<void> {
  await db.insert(paymentOrder).values(order);
}

export async function findOrder(db: Database, orderId: string): Promise<PaymentOrder | null> {
  const rows = await db.select().from(paymentOrder).where(eq(paymentOrder.id, orderId));
  return rows[0] ?? null;
}

/** The newest first. */
export function listOrders(db: Database, accountId: string, limit: number): Promise<PaymentOrder[]> {
  return db
    .select()
    .from(paymentOrder)
    .where(eq(paymentOrder.accountId, accountId))
    .orderBy(desc(paymentOrder.createdAtMs), desc(paymentOrder.id))
    .limit(limit);
}

interface EventName {
  readonly provider: string;
  readonly eventId: string;
}

export async function isEventKnown(db: Database, { provider, eventId }: EventName): Promise<boolean> {
  const rows = await db
    .select({ eventId: paymentEvent.eventId })
    .from(paymentEvent)
    .where(and(eq(paymentEvent.provider, provider), eq(paymentEvent.eventId, eventId)));
  return rows.length > 0;
}

export interface EventRow extends EventName {
  /** of a saved card's: the account's id */
  readonly orderId: string;
  readonly receivedAtMs: number;
}

/** A statement that remembers an event; twice is once. */
export function addEvent(db: Database, event: EventRow) {
  return db.insert(paymentEvent).values(event).onConflictDoNothing();
}

/** Remembers the event, marks its order paid and issues its invoice, all or nothing; a repetition changes nothing. */
export async function markPaid(db: Database, event: EventRow): Promise<void> {
  await db.batch([
    addEvent(db, event),
    db
      .update(paymentOrder)
      .set({ state: 'paid', paidAtMs: event.receivedAtMs })
      .where(and(eq(paymentOrder.id, event.orderId), ne(paymentOrder.state, 'paid'))),
    issueInvoice(db, { orderId: event.orderId, nowMs: event.receivedAtMs }),
  ]);
}

/** Remembers the event and closes its order, both or neither. A paid order stays paid. */
export async function markClosed(db: Database, event: EventRow): Promise<void> {
  await db.batch([
    addEvent(db, event),
    db
      .update(paymentOrder)
      .set({ state: 'closed' })
      .where(and(eq(paymentOrder.id, event.orderId), eq(paymentOrder.state, 'open'))),
  ]);
}

/** Remembers the event and where the invoice is read, both or neither. */
export async function markInvoiced(db: Database, event: EventRow, invoiceUrl: string): Promise<void> {
  await db.batch([
    addEvent(db, event),
    db.update(paymentOrder).set({ invoiceUrl }).where(eq(paymentOrder.id, event.orderId)),
  ]);
}

/**
 * Writes what the provider took back in all through `source`, and the step by which the account follows: the
 * difference to the steps before. Both or neither. What is taken is never more than the order was, never less than 0.
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
        // Events come late and twice: an amount only grows, and what was given back stays so.
        set: {
          amountNanoUsd: sql`max(amount_nano_usd, excluded.amount_nano_usd)`,
          returned: sql`max(returned, excluded.returned)`,
          updatedAtMs: nowMs,
        },
      }),
    db
      .insert(paymentCorrection)
      // the columns of the table in their order
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

/** The steps of an order, oldest first. */
export function listCorrections(db: Database, orderId: string): Promise<PaymentCorrection[]> {
  return db
    .select()
    .from(paymentCorrection)
    .where(eq(paymentCorrection.orderId, orderId))
    .orderBy(asc(paymentCorrection.seq));
}

/** Writes what became of a step, once; what is owed goes into the audit trail, and so does a debt that is cancelled. */
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
