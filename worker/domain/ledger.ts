/**
 * Ledger entries. They are append-only and hash-chained. An entry's two legs are granted and paid credit; with the bill or
 * payment on the other side, the transaction sums to zero. A Wallet folds its oldest entries into an `opening`: an entry
 * without an amount that names the state which they led to, so that the rest of the chain can be checked from there.
 */
import { type NanoUsd, nanoUsd } from './money.ts';

export type EntryKind = 'grant' | 'top_up' | 'charge' | 'correction' | 'opening';

/** Credit by its origin. Granted credit is spent first. */
export interface Credit {
  readonly grantedNanoUsd: NanoUsd;
  readonly paidNanoUsd: NanoUsd;
}

export interface EntryBody extends Credit {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: EntryKind;
  /**
   * The payment order, grant, reversal, requests of a charge, or state that an opening names. An account has one entry
   * for each kind and reference.
   */
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

/** The ledger after one of its entries: that entry's number and hash, and the sums of all entries until then. */
export interface LedgerState extends Credit {
  readonly seq: number;
  readonly hash: string;
}

/** The ledger before its first entry. */
export const EMPTY_LEDGER: LedgerState = {
  seq: 0,
  hash: GENESIS_HASH,
  grantedNanoUsd: nanoUsd(0),
  paidNanoUsd: nanoUsd(0),
};

/**
 * Replays entries from a state on.
 * @param hash SHA-256 of a text, hex
 * @returns the state after the last one; null: their numbers, hashes or balances do not follow from it
 */
export function replay(
  start: LedgerState,
  entries: readonly Entry[],
  hash: (text: string) => string,
): LedgerState | null {
  let state = start;
  for (const { hash: stored, ...body } of entries) {
    const grantedNanoUsd = nanoUsd(state.grantedNanoUsd + body.grantedNanoUsd);
    const paidNanoUsd = nanoUsd(state.paidNanoUsd + body.paidNanoUsd);
    const follows = body.seq === state.seq + 1 && body.balanceNanoUsd === grantedNanoUsd + paidNanoUsd;
    if (!follows || hash(hashInput(state.hash, body)) !== stored) return null;
    state = { seq: body.seq, hash: stored, grantedNanoUsd, paidNanoUsd };
  }
  return state;
}

/**
 * The reference of an opening: `seq:hash:granted:paid` of the last entry that was folded. It is a part of what the
 * opening's own hash is taken over, so the sums cannot be changed without breaking the chain.
 */
export function openingReference({ seq, hash, grantedNanoUsd, paidNanoUsd }: LedgerState): string {
  return [seq, hash, grantedNanoUsd, paidNanoUsd].join(':');
}

/** The state that an opening's reference names. */
export function openingState(reference: string): LedgerState {
  const [seq, hash, granted, paid] = reference.split(':') as [string, string, string, string];
  return {
    seq: Number(seq),
    hash,
    grantedNanoUsd: nanoUsd(Number(granted)),
    paidNanoUsd: nanoUsd(Number(paid)),
  };
}

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
