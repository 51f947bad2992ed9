/**
 * Unpacks the requests of settlement groups, which a Wallet stores in its
 * table `page`, to rows like those of other requests.
 */
import type { RequestRow, SettlementGroupRow } from './world.ts';

/** The columns that a group stores for each request; the others are the group's. */
type OwnColumns = Omit<
  RequestRow,
  keyof SettlementGroupRow | 'ended_at_ms' | 'held_nano_usd' | 'token_id' | 'token_cap_nano_usd'
>;

/** The requests of the groups, as rows. */
export function requestsOfGroups(groups: readonly SettlementGroupRow[]): RequestRow[] {
  return groups.flatMap(({ at_ms, requests, proofs: _, entry_seq, ...shared }) =>
    (JSON.parse(requests) as OwnColumns[]).map((own) => ({
      ...shared,
      ...own,
      ended_at_ms: at_ms,
      entry_seq: own.charge_nano_usd === 0 ? null : entry_seq,
      held_nano_usd: 0,
      token_id: null,
      token_cap_nano_usd: null,
    })),
  );
}

/** The receipts that matched a grouped request: those of the nodes that were billed for. */
export function matchedReceipts(
  groups: readonly SettlementGroupRow[],
): { request_id: string; node_id: string }[] {
  return groups.flatMap(({ requests, proofs }) =>
    (JSON.parse(requests) as OwnColumns[]).flatMap(({ request_id, node_id }, at) =>
      proofs[at] === '0' || node_id === null ? [] : [{ request_id, node_id }],
    ),
  );
}
