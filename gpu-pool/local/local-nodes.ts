/** The nodes of a Tollgate on one machine. */
import type { Hardware } from '../protocol/schemas.ts';

export interface NodePlan {
  readonly name: string;
  readonly hardware: Hardware;
  /** Id of a shipped model that is for sale. */
  readonly model: string;
}

export const R1 = 'deepseek-r1-0528';

/** One model on three nodes: enough for failover, affinity and a pool of unlike hardware. */
export const R1_NODES: readonly NodePlan[] = [
  { name: 'h800-pair-1', hardware: '8xh800-pair', model: R1 },
  { name: 'h800-pair-2', hardware: '8xh800-pair', model: R1 },
  { name: 'mi300x-1', hardware: '8xmi300x', model: R1 },
];

/**
 * Every model that is for sale from the start, so that every example in the documents answers. R1 has two nodes, for
 * failover; each node takes some 230 MB.
 */
export const ALL_NODES: readonly NodePlan[] = [
  { name: 'h800-pair-1', hardware: '8xh800-pair', model: R1 },
  { name: 'mi300x-1', hardware: '8xmi300x', model: R1 },
  { name: 'v3-1', hardware: '8xh200', model: 'deepseek-v3-0324' },
  { name: 'r1-zero-1', hardware: '8xh200', model: 'deepseek-r1-zero' },
];
