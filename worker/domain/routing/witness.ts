/**
 * Evidence against a node. A request that fails may itself be the cause: a client that has found one which breaks engines
 * could take every node from everyone else. So a failure counts for the account that saw it, and for all once another
 * account saw one, too, or the node itself shows that it is not well.
 */

export interface Witness {
  readonly accountId: string;
  readonly atMs: number;
}

/** Failures of two accounts this close together met the same fault. A busy node fails several accounts within a second. */
const SAME_FAULT_MS = 10_000;

/** Whether two accounts saw a node fail. @param last the last failure that was seen; null: none */
export function agrees(last: Witness | null, { accountId, atMs }: Witness): boolean {
  return last !== null && last.accountId !== accountId && Math.abs(atMs - last.atMs) <= SAME_FAULT_MS;
}
