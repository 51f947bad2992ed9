/**
 * Folds a Wallet's oldest entries into an opening, so that its ledger does not grow without end. D1 has had those entries
 * for weeks by then, and keeps them. Calls run in the caller's transaction, so a crash leaves either all of a fold or
 * none of it.
 */
import { openingReference, replay } from '../domain/ledger.ts';
import { nanoUsd } from '../domain/money.ts';
import { sha256 } from '../lib/sha256.ts';
import type { Ledger } from './ledger.ts';
import type { LedgerStore } from './ledger-store.ts';

/** Least entries of a fold: the opening itself costs rows here and in D1, about 4 % of what 100 entries cost. */
export const FOLD_ENTRIES_MIN = 100;
/** Most entries of a fold: its transaction hashes and removes them in some 40 ms, while the account's requests wait. */
const FOLD_ENTRIES_MAX = 1_000;

const NOTHING = { grantedNanoUsd: nanoUsd(0), paidNanoUsd: nanoUsd(0) };

/** `none`: too few entries are old enough. `broken`: the chain does not verify, so its entries are left as evidence. */
export type FoldResult = 'none' | 'folded' | 'broken';

/**
 * Folds entries that were posted before `beforeMs` and that D1 has confirmed.
 * It reads three rows when there is nothing to do, so each alarm can ask.
 */
export function foldEntries(
  deps: {
    ledger: Ledger;
    ledgerStore: LedgerStore;
    /** The first entry that D1 may not have; null: it has all of them. */
    firstUnpublishedSeq: () => number | null;
    /** Moves the checkpoint past the entries: a restart could not sum them once they are gone. */
    checkpoint: () => void;
  },
  { beforeMs, nowMs }: { beforeMs: number; nowMs: number },
): FoldResult {
  const { ledger, ledgerStore, firstUnpublishedSeq, checkpoint } = deps;
  const opening = ledgerStore.opening();
  const postedAtMs = ledgerStore.postedAtMs(opening.seq + FOLD_ENTRIES_MIN);
  if (postedAtMs === null || postedAtMs >= beforeMs) return 'none';
  const unpublishedFromSeq = firstUnpublishedSeq() ?? Number.POSITIVE_INFINITY;
  const oldest = ledgerStore.entriesAfter(opening.seq, FOLD_ENTRIES_MAX);
  const stays = oldest.findIndex(({ seq, atMs }) => seq >= unpublishedFromSeq || atMs >= beforeMs);
  const old = stays < 0 ? oldest : oldest.slice(0, stays);
  if (old.length < FOLD_ENTRIES_MIN) return 'none';
  const state = replay(opening, old, sha256);
  if (state === null) return 'broken';
  checkpoint();
  const entry = ledger.append('opening', openingReference(state), NOTHING, nowMs);
  ledgerStore.fold(entry.seq, state.seq);
  return 'folded';
}
