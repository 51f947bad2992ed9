/**
 * Ledger entries. They are append-only and hash-chained. An entry's two legs are granted and paid credit; with the bill or
 * payment on the other side, the transaction sums to zero.
 */
import { type NanoUsd, nanoUsd } from './money.ts';

export type EntryKind = 'grant' | 'top_up' | 'charge' | 'correction';

/** Credit by its origin. Granted credit is spent first. */
export interface Credit {
  readonly grantedNanoUsd: NanoUsd;
  readonly paidNanoUsd: NanoUsd;
}

export interface EntryBody extends Credit {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: EntryKind;
  /** The payment order, grant, reversal, or requests of a charge. An account has one entry for each kind and reference. */
  readonly reference: string;
  /** Ledger balance after the entry, granted and paid together. */
  readonly balanceNanoUsd: NanoUsd;
}

export interface Entry extends EntryBody {
  /** SHA-256 over the previous entry's hash and this body, hex. */
  readonly hash: string;
}

/** The hash before the first entry. */
export const GENESIS_HASH = '0'.repeat(64);

/** The two legs of a charge: granted credit is spent before paid credit. */
export function chargeLegs(credit: Credit, charge: NanoUsd): Credit {
  const granted = Math.min(credit.grantedNanoUsd, charge);
  return { grantedNanoUsd: nanoUsd(0 - granted), paidNanoUsd: nanoUsd(0 - (charge - granted)) };
}

/** The two legs of a correction of paid credit: an amount taken back comes out of paid credit before granted credit. */
export function correctionLegs(credit: Credit, amountNanoUsd: NanoUsd): Credit {
  const fromPaid = Math.max(amountNanoUsd, -credit.paidNanoUsd);
  return { grantedNanoUsd: nanoUsd(amountNanoUsd - fromPaid), paidNanoUsd: nanoUsd(fromPaid) };
}

/** The text that an entry's hash is taken over: the fields in a fixed order, so that anyone can recompute the chain. */
export function hashInput(previousHash: string, body: EntryBody): string {
  return JSON.stringify([
    previousHash,
    body.seq,
    body.atMs,
    body.kind,
    body.reference,
    body.grantedNanoUsd,
    body.paidNanoUsd,
    body.balanceNanoUsd,
  ]);
}

const RANGE = '..';

/**
 * The reference of a charge: its one request, or the first and the last of the requests that were charged together, in
 * the order of their ids and so of their times. Other entries may have charged other requests within that span.
 * @param requestIds not empty
 */
export function chargeReference(requestIds: readonly string[]): string {
  const [first, ...others] = [...requestIds].sort();
  const last = others.at(-1);
  return last === undefined ? first! : `${first}${RANGE}${last}`;
}

/** The span of request ids that a charge's reference names, both ends included. */
export function chargedRequests(reference: string): { readonly first: string; readonly last: string } {
  const [first, last] = reference.split(RANGE) as [string, string?];
  return { first, last: last ?? first };
}
