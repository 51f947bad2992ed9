/** The delivery log: each row is one notice on its way to one address, from the first attempt to its end. */
import { and, desc, eq, isNull, lt, or, sql } from 'drizzle-orm';
import { newId } from '../domain/ids.ts';
import type { Notification } from '../domain/notice.ts';
import type { Database } from './client.ts';
import { notice, noticeDelivery, webhookEndpoint } from './schema.ts';

export type DeliveryRow = typeof noticeDelivery.$inferSelect;

export type DeliveryTarget = Pick<DeliveryRow, 'channel' | 'target'>;

/**
 * Opens a delivery to each target; an existing one stays as it is.
 * @returns ids of the notice's deliveries that are still waiting
 */
export async function openDeliveries(
  db: Database,
  request: { notification: Notification; targets: readonly DeliveryTarget[]; nowMs: number },
): Promise<string[]> {
  const { id: noticeId, accountId } = request.notification;
  // One statement per row: a single statement with many rows would pass D1's limit of 100 parameters.
  const inserts = request.targets.map((target) =>
    db
      .insert(noticeDelivery)
      .values({ id: newId('dlv', request.nowMs), noticeId, accountId, ...target })
      .onConflictDoNothing(),
  );
  const [first, ...rest] = inserts;
  if (first) await db.batch([first, ...rest]);
  const open = await db
    .select({ id: noticeDelivery.id })
    .from(noticeDelivery)
    .where(and(eq(noticeDelivery.noticeId, noticeId), eq(noticeDelivery.state, 'waiting')));
  return open.map(({ id }) => id);
}

export async function findDelivery(
  db: Database,
  id: string,
): Promise<{ delivery: DeliveryRow; notification: Notification } | null> {
  const row = await db
    .select()
    .from(noticeDelivery)
    .innerJoin(notice, eq(notice.id, noticeDelivery.noticeId))
    .where(eq(noticeDelivery.id, id))
    .get();
  if (!row) return null;
  const { id: noticeId, accountId, atMs, facts } = row.notice;
  return { delivery: row.notice_delivery, notification: { id: noticeId, accountId, atMs, notice: facts } };
}

/**
 * Claims the next attempt: of several callers the first gets it. Nobody else gets it before `untilMs` unless the
 * attempt is recorded.
 * @returns whether this caller claimed it
 */
export async function claimAttempt(
  db: Database,
  request: { delivery: DeliveryRow; nowMs: number; untilMs: number },
): Promise<boolean> {
  const { delivery, nowMs, untilMs } = request;
  const claimed = await db
    .update(noticeDelivery)
    .set({ attempts: delivery.attempts + 1, lastAtMs: nowMs, nextAtMs: untilMs })
    .where(
      and(
        eq(noticeDelivery.id, delivery.id),
        eq(noticeDelivery.state, 'waiting'),
        eq(noticeDelivery.attempts, delivery.attempts),
      ),
    )
    .returning({ id: noticeDelivery.id });
  return claimed.length > 0;
}

/** Records the outcome of an attempt. A delivered row stays delivered. */
export async function recordAttempt(
  db: Database,
  id: string,
  outcome: Pick<DeliveryRow, 'state' | 'lastStatus' | 'lastFault' | 'nextAtMs'>,
): Promise<void> {
  await db
    .update(noticeDelivery)
    .set(outcome)
    .where(and(eq(noticeDelivery.id, id), eq(noticeDelivery.state, 'waiting')));
}

/** Fails a delivery that is overdue because its task was given up. A delivery with an attempt ahead is left alone. */
export async function failOverdue(
  db: Database,
  request: { id: string; fault: string; nowMs: number },
): Promise<void> {
  await db
    .update(noticeDelivery)
    .set({ state: 'failed', lastFault: request.fault, nextAtMs: null })
    .where(
      and(
        eq(noticeDelivery.id, request.id),
        eq(noticeDelivery.state, 'waiting'),
        or(isNull(noticeDelivery.nextAtMs), lt(noticeDelivery.nextAtMs, request.nowMs)),
      ),
    );
}

/** Reopens a failed delivery. @returns false when there is none with this id, or it has not failed */
export async function reopenDelivery(
  db: Database,
  which: { accountId: string; deliveryId: string },
): Promise<boolean> {
  const reopened = await db
    .update(noticeDelivery)
    .set({ state: 'waiting', nextAtMs: null })
    .where(
      and(
        eq(noticeDelivery.id, which.deliveryId),
        eq(noticeDelivery.accountId, which.accountId),
        eq(noticeDelivery.state, 'failed'),
      ),
    )
    .returning({ id: noticeDelivery.id });
  return reopened.length > 0;
}

export interface LoggedDelivery extends DeliveryRow {
  readonly notification: Notification;
  /** The URL of a webhook; null: it is an e-mail. */
  readonly url: string | null;
}

/** Lists the account's deliveries, newest first. */
export async function listDeliveries(
  db: Database,
  { accountId, limit }: { accountId: string; limit: number },
): Promise<LoggedDelivery[]> {
  const rows = await db
    .select({ delivery: noticeDelivery, notice, url: webhookEndpoint.url })
    .from(noticeDelivery)
    .innerJoin(notice, eq(notice.id, noticeDelivery.noticeId))
    .leftJoin(
      webhookEndpoint,
      and(eq(noticeDelivery.channel, sql`'webhook'`), eq(webhookEndpoint.id, noticeDelivery.target)),
    )
    .where(eq(noticeDelivery.accountId, accountId))
    .orderBy(desc(noticeDelivery.id))
    .limit(limit);
  return rows.map(({ delivery, notice: { id, atMs, facts }, url }) => ({
    ...delivery,
    url,
    notification: { id, accountId, atMs, notice: facts },
  }));
}
