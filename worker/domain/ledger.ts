/** Ledger entries: append-only, hash-chained, each with two legs that sum to zero. */
import { type NanoUsd, nanoUsd } from './money.ts';

export type EntryKind = 'grant' | 'top_up' | 'charge' | 'correction';

/** Credit by where it came from. Granted credit is spent first. */
export interface Credit {
  readonly grantedNanoUsd: NanoUsd;
  readonly paidNanoUsd: NanoUsd;
}

export interface EntryBody extends Credit {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: EntryKind;
  /** request, payment order, grant or reversal: an account has one entry for each kind and reference */
  readonly reference: string;
  /** ledger balance after the entry, granted and paid together */
  readonly balanceNanoUsd: NanoUsd;
}

export interface Entry extends EntryBody {
  /** SHA-256 over the previous entry's hash and this body, hex */
  readonly hash: string;
}

/** The hash before the first entry. */
export const GENESIS_HASH = '0'.repeat(64);

/** The two legs of a charge: granted credit is spent before paid credit. */
export function chargeLegs(credit: Credit, charge: NanoUsd): Credit {
  const granted = Math.min(credit.grantedNanoUsd, charge);
  return { grantedNanoUsd: nanoUsd(0 - granted), paidNanoUsd: nanoUsd(0 - (charge - granted)) };
}

/** The two legs of a correction of paid credit: what is taken back comes out of paid credit before granted credit. */
export function correctionLegs(credit: Credit, amountNanoUsd: NanoUsd): Credit {
  const fromPaid = Math.max(amountNanoUsd, -credit.paidNanoUsd);
  return { grantedNanoUsd: nanoUsd(amountNanoUsd - fromPaid), paidNanoUsd: nanoUsd(fromPaid) };
}

/** What an entry's hash is taken over: the fields in a fixed order, so that anyone can recompute the chain. */
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
