/** Sealed secrets of webhook endpoints, by endpoint and version. */
import { and, eq, type SQL, sql } from 'drizzle-orm';
import type { Database } from './client.ts';
import { webhookEndpoint, webhookSecret } from './schema.ts';

interface Version {
  readonly id: string;
  readonly secretVersion: number;
}

/** @returns null: the version has no row, and its secret is derived */
export async function findSealedSecret(db: Database, { id, secretVersion }: Version): Promise<string | null> {
  const row = await db
    .select({ sealed: webhookSecret.sealed })
    .from(webhookSecret)
    .where(and(eq(webhookSecret.endpointId, id), eq(webhookSecret.version, secretVersion)))
    .get();
  return row?.sealed ?? null;
}

/** When the version was made; null: it has no row, as those from before secrets were stored. */
export async function secretMadeAtMs(db: Database, { id, secretVersion }: Version): Promise<number | null> {
  const row = await db
    .select({ atMs: webhookSecret.createdAtMs })
    .from(webhookSecret)
    .where(and(eq(webhookSecret.endpointId, id), eq(webhookSecret.version, secretVersion)))
    .get();
  return row?.atMs ?? null;
}

export async function keepSealedSecret(
  db: Database,
  { id, secretVersion, sealed, nowMs }: Version & { sealed: string; nowMs: number },
): Promise<void> {
  await db
    .insert(webhookSecret)
    .values({ endpointId: id, version: secretVersion, sealed, createdAtMs: nowMs })
    .onConflictDoUpdate({ target: [webhookSecret.endpointId, webhookSecret.version], set: { sealed } });
}

/**
 * Versions that sign, the current one of each endpoint and its predecessor, and are sealed under no secret or another one.
 * @param others how a text begins that is sealed under another secret which is still accepted
 */
const sealedUnderOther = (others: readonly string[]): SQL => sql`
  FROM ${webhookEndpoint} AS e
  JOIN (SELECT 0 AS back UNION ALL SELECT 1) AS v ON e.secret_version > v.back
  LEFT JOIN ${webhookSecret} AS s ON s.endpoint_id = e.id AND s.version = e.secret_version - v.back
  WHERE e.removed_at_ms IS NULL AND (s.sealed IS NULL OR EXISTS (
    SELECT 1 FROM json_each(${JSON.stringify(others)}) AS o WHERE substr(s.sealed, 1, length(o.value)) = o.value
  ))`;

export function listSealedUnderOther(
  db: Database,
  others: readonly string[],
  limit: number,
): Promise<Version[]> {
  return db.all<Version>(
    sql`SELECT e.id AS id, e.secret_version - v.back AS secretVersion ${sealedUnderOther(others)} LIMIT ${limit}`,
  );
}

export async function countSealedUnderOther(db: Database, others: readonly string[]): Promise<number> {
  const row = await db.get<{ n: number }>(sql`SELECT count(*) AS n ${sealedUnderOther(others)}`);
  return row?.n ?? 0;
}
