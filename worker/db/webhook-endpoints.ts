/** Where an account wants its webhooks sent. A removed endpoint stays as a row: the delivery log names it. */
import { and, eq, isNull, sql } from 'drizzle-orm';
import type { Database } from './client.ts';
import { webhookEndpoint } from './schema.ts';

export type WebhookEndpointRow = typeof webhookEndpoint.$inferSelect;

/** Each notice is a request to every one of them. */
export const ENDPOINTS_MAX = 5;

interface Which {
  readonly accountId: string;
  readonly endpointId: string;
}

const isLive = ({ accountId, endpointId }: Which) =>
  and(
    eq(webhookEndpoint.id, endpointId),
    eq(webhookEndpoint.accountId, accountId),
    isNull(webhookEndpoint.removedAtMs),
  );

/** The account's endpoints that are not removed, the oldest first. */
export function listEndpoints(db: Database, accountId: string): Promise<WebhookEndpointRow[]> {
  return db
    .select()
    .from(webhookEndpoint)
    .where(and(eq(webhookEndpoint.accountId, accountId), isNull(webhookEndpoint.removedAtMs)))
    .orderBy(webhookEndpoint.id);
}

/** The endpoint if it is the account's and not removed, else null. */
export async function findEndpoint(db: Database, which: Which): Promise<WebhookEndpointRow | null> {
  return (await db.select().from(webhookEndpoint).where(isLive(which)).get()) ?? null;
}

/** @returns false when the account has as many as it may: counted in the same statement, so two at once do not slip by */
export async function insertEndpoint(
  db: Database,
  { id, accountId, url, nowMs }: { id: string; accountId: string; url: string; nowMs: number },
): Promise<boolean> {
  const inserted = await db
    .insert(webhookEndpoint)
    // the columns of the table in their order
    .select(sql`
      SELECT ${id}, ${accountId}, ${url}, 1, ${nowMs}, NULL
      WHERE (
        SELECT count(*) FROM ${webhookEndpoint}
        WHERE ${webhookEndpoint.accountId} = ${accountId} AND ${webhookEndpoint.removedAtMs} IS NULL
      ) < ${ENDPOINTS_MAX}`)
    .returning({ id: webhookEndpoint.id });
  return inserted.length > 0;
}

/** Gives the endpoint its next secret. @returns the endpoint as it now is, or null when the account has no such one */
export async function rotateEndpointSecret(db: Database, which: Which): Promise<WebhookEndpointRow | null> {
  const [row] = await db
    .update(webhookEndpoint)
    .set({ secretVersion: sql`${webhookEndpoint.secretVersion} + 1` })
    .where(isLive(which))
    .returning();
  return row ?? null;
}

/** @returns false when the account has no such endpoint */
export async function removeEndpoint(db: Database, which: Which & { nowMs: number }): Promise<boolean> {
  const removed = await db
    .update(webhookEndpoint)
    .set({ removedAtMs: which.nowMs })
    .where(isLive(which))
    .returning({ id: webhookEndpoint.id });
  return removed.length > 0;
}
