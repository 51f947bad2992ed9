/** The inputs of nodes' margins: their hours, what they wrote off, and what an hour of each costs. */
import { and, asc, eq, gt, inArray, ne, or, sql } from 'drizzle-orm';
import type { DatedCost, NodeWork } from '../domain/margin.ts';
import { type AuditEntry, addAudit } from './audit.ts';
import type { Database } from './client.ts';
import { openRows } from './open-sums.ts';
import { node, nodeCost } from './schema.ts';

export interface MarginNode {
  readonly id: string;
  readonly name: string;
  readonly modelId: string;
  readonly hardware: string;
  readonly capacity: number;
  readonly enrolledAtMs: number;
  /** null: it has not been removed. */
  readonly removedAtMs: number | null;
  readonly costs: readonly DatedCost[];
}

/** A node's work in one bucket; a bucket in which it did nothing has no row. */
export interface NodeBucket extends NodeWork {
  readonly nodeId: string;
  readonly bucketMs: number;
}

/**
 * Lists nodes that were enrolled at some time since `fromMs`, by name.
 * @param which.nodeId null: all nodes
 */
export async function listMarginNodes(
  db: Database,
  which: { fromMs: number; nodeId: string | null; limit: number; offset: number },
): Promise<MarginNode[]> {
  // Plain SQL names, because a drizzle column loses its table's name inside this subquery, and `id` would mean the
  // audit's.
  const removedAtMs = sql<number | null>`case when node.state = 'removed' then
    (select max(at_ms) from audit where subject = node.id and action = 'node.removed') end`;
  const rows = await db
    .select({
      id: node.id,
      name: node.name,
      modelId: node.modelId,
      hardware: node.hardware,
      capacity: node.capacity,
      enrolledAtMs: node.enrolledAtMs,
      removedAtMs,
    })
    .from(node)
    .where(
      and(
        which.nodeId === null ? undefined : eq(node.id, which.nodeId),
        or(ne(node.state, 'removed'), gt(removedAtMs, which.fromMs)),
      ),
    )
    .orderBy(asc(node.name), asc(node.id))
    .limit(which.limit)
    .offset(which.offset);
  const ids = rows.map(({ id }) => id);
  const costs = await db.select().from(nodeCost).where(inArray(nodeCost.nodeId, ids));
  return rows.map((row) => ({ ...row, costs: costs.filter(({ nodeId }) => nodeId === row.id) }));
}

/**
 * Sums the work of some nodes since `fromMs` by bucket. Each node's hours are one range of the table.
 * @param filter.bucketMs an hour or a day, aligned to UTC
 */
export async function listNodeBuckets(
  db: Database,
  filter: { nodeIds: readonly string[]; fromMs: number; bucketMs: number },
): Promise<NodeBucket[]> {
  const { nodeIds, fromMs, bucketMs } = filter;
  const prepared = (text: string) => db.$client.prepare(text).bind(JSON.stringify(nodeIds), fromMs, bucketMs);
  const ofNodes = 'h.node_id IN (SELECT value FROM json_each(?1)) AND h.hour_ms >= ?2';
  const results = await db.$client.batch<NodeBucket>([
    prepared(`SELECT n.value AS nodeId, h.hour_ms - h.hour_ms % ?3 AS bucketMs, sum(h.requests) AS requests,
        sum(h.completion_tokens) AS completionTokens, sum(h.charge_nano_usd) AS chargeNanoUsd,
        sum(h.granted_nano_usd) AS grantedNanoUsd, 0 AS writtenOffTokens
      FROM json_each(?1) AS n CROSS JOIN node_hour AS h ON h.node_id = n.value AND h.hour_ms >= ?2
      GROUP BY 1, 2`),
    prepared(`SELECT n.value AS nodeId, r.hour_ms - r.hour_ms % ?3 AS bucketMs, 0 AS requests, 0 AS completionTokens,
        0 AS chargeNanoUsd, 0 AS grantedNanoUsd,
        sum(r.written_off_prompt_tokens + r.written_off_completion_tokens) AS writtenOffTokens
      FROM json_each(?1) AS n CROSS JOIN receipt_hour AS r ON r.node_id = n.value AND r.hour_ms >= ?2
      WHERE r.reason <> '' GROUP BY 1, 2`),
    prepared(`SELECT h.node_id AS nodeId, h.hour_ms - h.hour_ms % ?3 AS bucketMs, sum(h.requests) AS requests,
        sum(h.completion_tokens) AS completionTokens, sum(h.charge_nano_usd) AS chargeNanoUsd,
        sum(h.granted_nano_usd) AS grantedNanoUsd, 0 AS writtenOffTokens
      FROM (${openRows('n')}) AS h WHERE ${ofNodes} GROUP BY 1, 2`),
    prepared(`SELECT h.node_id AS nodeId, h.hour_ms - h.hour_ms % ?3 AS bucketMs, 0 AS requests, 0 AS completionTokens,
        0 AS chargeNanoUsd, 0 AS grantedNanoUsd,
        sum(h.written_off_prompt_tokens + h.written_off_completion_tokens) AS writtenOffTokens
      FROM (${openRows('r')}) AS h WHERE ${ofNodes} AND h.reason <> '' GROUP BY 1, 2`),
  ]);
  return results.flatMap((each) => each.results);
}

/** Sets what an hour of the node costs from `fromMs` on; earlier costs stay. */
export async function addNodeCost(
  db: Database,
  cost: { nodeId: string; fromMs: number; hourNanoUsd: number },
  entry: AuditEntry,
): Promise<void> {
  const { hourNanoUsd } = cost;
  await db.batch([
    // Two costs set in one millisecond: the later one wins.
    db
      .insert(nodeCost)
      .values(cost)
      .onConflictDoUpdate({
        target: [nodeCost.nodeId, nodeCost.fromMs],
        set: { hourNanoUsd },
      }),
    addAudit(db, entry),
  ]);
}
