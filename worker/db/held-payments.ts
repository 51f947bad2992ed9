/** Signed events about money that wait for an operator's decision. */
import { and, asc, eq, isNull } from 'drizzle-orm';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { addEvent, type EventRow } from './payments.ts';
import { paymentHeld, paymentOrder } from './schema.ts';

export type HeldRow = typeof paymentHeld.$inferSelect;
export type HeldPayment = HeldRow &
  Pick<typeof paymentOrder.$inferSelect, 'accountId' | 'amountNanoUsd' | 'state'>;
export type HeldKey = Pick<HeldRow, 'orderId' | 'kind' | 'source'>;
export type HeldFacts = Omit<HeldRow, 'closedAtMs' | 'closedBy' | 'note'>;

/** Stores the event and what it is about, in one batch. A later event about the same thing changes nothing. */
export async function addHeld(
  db: Database,
  event: EventRow,
  held: HeldFacts,
  entry: AuditEntry,
): Promise<void> {
  await db.batch([
    addEvent(db, event),
    db.insert(paymentHeld).values(held).onConflictDoNothing(),
    addAuditIfChanged(db, entry),
  ]);
}

/** Lists what waits for a decision, oldest first. */
export function listHeld(db: Database, limit: number): Promise<HeldPayment[]> {
  return selectHeld(db)
    .where(isNull(paymentHeld.closedAtMs))
    .orderBy(asc(paymentHeld.receivedAtMs))
    .limit(limit);
}

/** Counts what waits for a decision. */
export async function countHeld(db: Database): Promise<number> {
  return db.$count(paymentHeld, isNull(paymentHeld.closedAtMs));
}

/** Finds what waits for a decision; null: it does not exist, or was decided. */
export async function findHeld(db: Database, key: HeldKey): Promise<HeldPayment | null> {
  const open = and(isKey(key), isNull(paymentHeld.closedAtMs));
  return (await selectHeld(db).where(open).get()) ?? null;
}

/** Whether an order's payment is held or was set aside, so that it will never become paid by itself. */
export async function isPaymentHeld(db: Database, orderId: string): Promise<boolean> {
  const paid = isKey({ orderId, kind: 'paid', source: '' });
  return (
    (await db.select({ orderId: paymentHeld.orderId }).from(paymentHeld).where(paid).get()) !== undefined
  );
}

/** Stores the decision, and its audit row if it was open, in one batch. */
export async function closeHeld(
  db: Database,
  key: HeldKey,
  decision: { nowMs: number; actor: string; note: string; detail: AuditEntry['detail'] },
): Promise<void> {
  const { nowMs, actor, note, detail } = decision;
  await db.batch([
    db
      .update(paymentHeld)
      .set({ closedAtMs: nowMs, closedBy: actor, note })
      .where(and(isKey(key), isNull(paymentHeld.closedAtMs))),
    addAuditIfChanged(db, {
      atMs: nowMs,
      actor,
      action: 'payment.decided',
      subject: key.orderId,
      detail: { ...detail, note },
    }),
  ]);
}

function selectHeld(db: Database) {
  return db
    .select({
      orderId: paymentHeld.orderId,
      kind: paymentHeld.kind,
      source: paymentHeld.source,
      reason: paymentHeld.reason,
      amountCents: paymentHeld.amountCents,
      currency: paymentHeld.currency,
      receivedAtMs: paymentHeld.receivedAtMs,
      closedAtMs: paymentHeld.closedAtMs,
      closedBy: paymentHeld.closedBy,
      note: paymentHeld.note,
      accountId: paymentOrder.accountId,
      amountNanoUsd: paymentOrder.amountNanoUsd,
      state: paymentOrder.state,
    })
    .from(paymentHeld)
    .innerJoin(paymentOrder, eq(paymentOrder.id, paymentHeld.orderId));
}

function isKey({ orderId, kind, source }: HeldKey) {
  return and(eq(paymentHeld.orderId, orderId), eq(paymentHeld.kind, kind), eq(paymentHeld.source, source));
}
