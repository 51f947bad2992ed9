/** An account's webhook endpoints. A removed endpoint stays as a row, because the delivery log refers to it. */
import { and, eq, isNull, sql } from 'drizzle-orm';
import { MAXIMA } from '../domain/maxima.ts';
import type { Database } from './client.ts';
import { webhookEndpoint } from './schema.ts';
import { accountIsActive, memberMay } from './standing.ts';

export type WebhookEndpointRow = typeof webhookEndpoint.$inferSelect;

export const ENDPOINTS_MAX = MAXIMA.webhook_endpoints.count;

interface EndpointKey {
  readonly accountId: string;
  readonly endpointId: string;
}

const isLive = ({ accountId, endpointId }: EndpointKey) =>
  and(
    eq(webhookEndpoint.id, endpointId),
    eq(webhookEndpoint.accountId, accountId),
    isNull(webhookEndpoint.removedAtMs),
  );

/** Lists the account's endpoints that are not removed, oldest first. */
export function listEndpoints(db: Database, accountId: string): Promise<WebhookEndpointRow[]> {
  return db
    .select()
    .from(webhookEndpoint)
    .where(and(eq(webhookEndpoint.accountId, accountId), isNull(webhookEndpoint.removedAtMs)))
    .orderBy(webhookEndpoint.id);
}

/** Finds an endpoint of the account that is not removed, else null. */
export async function findEndpoint(db: Database, key: EndpointKey): Promise<WebhookEndpointRow | null> {
  return (await db.select().from(webhookEndpoint).where(isLive(key)).get()) ?? null;
}

/**
 * Adds an endpoint. One statement counts, checks and inserts, so that neither two calls at once nor a right that is lost
 * meanwhile gets past it.
 * @param endpoint.actor id of the person who adds it; null: nobody's right is checked
 * @returns false: the account has ENDPOINTS_MAX already, or the actor may not add endpoints (any more)
 */
export async function insertEndpoint(
  db: Database,
  endpoint: { id: string; accountId: string; url: string; actor: string | null; nowMs: number },
): Promise<boolean> {
  const { id, accountId, url, actor, nowMs } = endpoint;
  const mayAdd =
    actor === null
      ? sql`true`
      : and(accountIsActive(accountId), memberMay({ accountId, personId: actor }, 'write', 'alerts'));
  const inserted = await db
    .insert(webhookEndpoint)
    // INSERT … SELECT: the table's columns in their order.
    .select(sql`
      SELECT ${id}, ${accountId}, ${url}, 1, ${nowMs}, NULL, ${actor}, NULL
      WHERE (
        SELECT count(*) FROM ${webhookEndpoint}
        WHERE ${webhookEndpoint.accountId} = ${accountId} AND ${webhookEndpoint.removedAtMs} IS NULL
      ) < ${ENDPOINTS_MAX} AND ${mayAdd}`)
    .returning({ id: webhookEndpoint.id });
  return inserted.length > 0;
}

/** Gives the endpoint its next secret. @returns the changed endpoint, or null when the account has none with this id */
export async function rotateEndpointSecret(
  db: Database,
  key: EndpointKey,
): Promise<WebhookEndpointRow | null> {
  const [row] = await db
    .update(webhookEndpoint)
    .set({ secretVersion: sql`${webhookEndpoint.secretVersion} + 1` })
    .where(isLive(key))
    .returning();
  return row ?? null;
}

/** Removes an endpoint. @returns false when the account has no such endpoint */
export async function removeEndpoint(db: Database, key: EndpointKey & { nowMs: number }): Promise<boolean> {
  const removed = await db
    .update(webhookEndpoint)
    .set({ removedAtMs: key.nowMs })
    .where(isLive(key))
    .returning({ id: webhookEndpoint.id });
  return removed.length > 0;
}
