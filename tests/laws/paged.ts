/** Requests that a Wallet keeps in pages, as the rows that every other request has. */
import type { RequestRow } from './world.ts';

/** A row of the Wallet's table `page`. */
export interface PageRow {
  readonly at_ms: number;
  readonly key_id: string;
  readonly model_id: string;
  readonly price_id: string;
  readonly cache_hit_nano_usd: number;
  readonly cache_miss_nano_usd: number;
  readonly output_nano_usd: number;
  readonly entry_seq: number | null;
  /** JSON: what of a request is its own */
  readonly requests: string;
  /** a character a request; 0: its node's receipt has not come */
  readonly proofs: string;
}

type Own = Omit<
  RequestRow,
  keyof PageRow | 'ended_at_ms' | 'held_nano_usd' | 'token_id' | 'token_cap_nano_usd'
>;

export function requestsOfPages(pages: readonly PageRow[]): RequestRow[] {
  return pages.flatMap(({ at_ms, requests, proofs: _, entry_seq, ...shared }) =>
    (JSON.parse(requests) as Own[]).map((own) => ({
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

/** Receipts that have come of the nodes that were billed for. */
export function proofsOfPages(pages: readonly PageRow[]): { request_id: string; node_id: string }[] {
  return pages.flatMap(({ requests, proofs }) =>
    (JSON.parse(requests) as Own[]).flatMap(({ request_id, node_id }, at) =>
      proofs[at] === '0' || node_id === null ? [] : [{ request_id, node_id }],
    ),
  );
}
