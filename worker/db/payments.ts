/** Top-ups that were begun, and the providers' events about them. */
import { and, eq } from 'drizzle-orm';
import type { Database } from './client.ts';
import { paymentEvent, paymentOrder } from './schema.ts';

export type PaymentOrder = typeof paymentOrder.$inferSelect;

export async function addOrder(db: Database, order: Omit<PaymentOrder, 'state' | 'paidAtMs'>): Promise<void> {
  await db.insert(paymentOrder).values(order);
}

export async function findOrder(db: Database, orderId: string): Promise<PaymentOrder | null> {
  const rows = await db.select().from(paymentOrder).where(eq(paymentOrder.id, orderId));
  return rows[0] ?? null;
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

interface EventRow extends EventName {
  readonly orderId: string;
  readonly receivedAtMs: number;
}

/** A statement that remembers an event; twice is once. */
export function addEvent(db: Database, event: EventRow) {
  return db.insert(paymentEvent).values(event).onConflictDoNothing();
}

/** Remembers the event and marks its order paid, both or neither; a repetition changes nothing. */
export async function markPaid(db: Database, event: EventRow): Promise<void> {
  await db.batch([
    addEvent(db, event),
    db
      .update(paymentOrder)
      .set({ state: 'paid', paidAtMs: event.receivedAtMs })
      .where(and(eq(paymentOrder.id, event.orderId), eq(paymentOrder.state, 'open'))),
  ]);
}
