/** The margins of nodes: what each earned and cost, by node and bucket. */
import { database } from '../db/client.ts';
import { listMarginNodes, listNodeBuckets, type MarginNode } from '../db/margin.ts';
import { type MarginSums, marginOfBucket, NO_WORK, type NodeWork } from '../domain/margin.ts';
import type { Env } from '../env.ts';

/** Nodes per page. Keeps a page's queries to a few ten thousand rows, however many nodes there are. */
export const NODES_MAX = 25;

export interface MarginQuery {
  /** Starts of the buckets, oldest first. */
  readonly starts: readonly number[];
  readonly bucketMs: number;
  /** null: all nodes. */
  readonly nodeId: string | null;
  /** Counts from 0. */
  readonly page: number;
  readonly nowMs: number;
  readonly gpusOf: (hardware: string) => number;
}

export interface MarginCell {
  readonly node: MarginNode;
  readonly bucketMs: number;
  readonly sums: MarginSums;
}

export interface Margins {
  readonly nodes: readonly MarginNode[];
  /** Grouped by node, oldest bucket first; there is none for a time at which the node was not enrolled. */
  readonly cells: readonly MarginCell[];
  /** Whether another page follows. */
  readonly hasMore: boolean;
}

/** Reads one page of at most NODES_MAX nodes, with their margins. */
export async function readMargins(env: Env, query: MarginQuery): Promise<Margins> {
  const { starts, bucketMs, nodeId, page, nowMs, gpusOf } = query;
  const db = database(env);
  const fromMs = starts[0]!;
  const which = { fromMs, nodeId, limit: NODES_MAX + 1, offset: page * NODES_MAX };
  const found = await listMarginNodes(db, which);
  const nodes = found.slice(0, NODES_MAX);
  const rows = await listNodeBuckets(db, { nodeIds: nodes.map(({ id }) => id), fromMs, bucketMs });
  const workByBucket = new Map<string, NodeWork>();
  for (const row of rows) {
    const key = `${row.nodeId} ${row.bucketMs}`;
    workByBucket.set(key, sumOf(workByBucket.get(key) ?? NO_WORK, row));
  }
  const cells = nodes.flatMap((node) =>
    starts.flatMap((startMs): MarginCell[] => {
      const span = { fromMs: startMs, toMs: Math.min(startMs + bucketMs, nowMs) };
      const work = workByBucket.get(`${node.id} ${startMs}`);
      const sums = marginOfBucket({ ...node, gpus: gpusOf(node.hardware) }, span, work ?? NO_WORK);
      return work || sums.enrolledMs > 0 ? [{ node, bucketMs: startMs, sums }] : [];
    }),
  );
  return { nodes, cells, hasMore: found.length > NODES_MAX };
}

function sumOf(a: NodeWork, b: NodeWork): NodeWork {
  return {
    requests: a.requests + b.requests,
    completionTokens: a.completionTokens + b.completionTokens,
    chargeNanoUsd: a.chargeNanoUsd + b.chargeNanoUsd,
    grantedNanoUsd: a.grantedNanoUsd + b.grantedNanoUsd,
    writtenOffTokens: a.writtenOffTokens + b.writtenOffTokens,
  };
}
