/**
 * The Wallet's ledger. Entries are only ever appended, each chained to the one before it. Calls run in the caller's
 * transaction.
 */

import {
  type Credit,
  chargeLegs,
  chargeReference,
  correctionLegs,
  type Entry,
  type EntryKind,
  hashInput,
} from '../domain/ledger.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { sha256 } from '../lib/sha256.ts';
import type { LedgerStore } from './ledger-store.ts';

export class Ledger {
  readonly #ledgerStore: LedgerStore;
  readonly #onEntry: (entry: Entry) => void;

  constructor(ledgerStore: LedgerStore, onEntry: (entry: Entry) => void) {
    this.#ledgerStore = ledgerStore;
    this.#onEntry = onEntry;
  }

  /** Posted credit: granted and paid together. */
  balance(): NanoUsd {
    const { grantedNanoUsd, paidNanoUsd } = this.#ledgerStore.head();
    return nanoUsd(grantedNanoUsd + paidNanoUsd);
  }

  /** The ledger balance minus what is held. */
  available(): NanoUsd {
    const { grantedNanoUsd, paidNanoUsd, heldNanoUsd } = this.#ledgerStore.head();
    return nanoUsd(grantedNanoUsd + paidNanoUsd - heldNanoUsd);
  }

  /** Appends an entry and publishes it. @param reference what the entry is for; unique by kind */
  append(kind: EntryKind, reference: string, legs: Credit, atMs: number): Entry {
    const entry = this.#append(kind, reference, legs, { atMs, heldByNanoUsd: 0 });
    this.#onEntry(entry);
    return entry;
  }

  /**
   * Appends one entry for requests that are settled together, and changes the held sum by `heldByNanoUsd`. The entry is
   * not published here: the caller publishes it with the requests.
   */
  charge(
    requestIds: readonly string[],
    { chargeNanoUsd, heldByNanoUsd, atMs }: { chargeNanoUsd: NanoUsd; heldByNanoUsd: number; atMs: number },
  ): Entry {
    const legs = chargeLegs(this.#ledgerStore.head(), chargeNanoUsd);
    return this.#append('charge', chargeReference(requestIds), legs, { atMs, heldByNanoUsd });
  }

  #append(
    kind: EntryKind,
    reference: string,
    legs: Credit,
    { atMs, heldByNanoUsd }: { atMs: number; heldByNanoUsd: number },
  ): Entry {
    const head = this.#ledgerStore.head();
    const { grantedNanoUsd, paidNanoUsd } = legs;
    const balanceNanoUsd = nanoUsd(head.grantedNanoUsd + head.paidNanoUsd + grantedNanoUsd + paidNanoUsd);
    const body = { seq: head.seq + 1, atMs, kind, reference, grantedNanoUsd, paidNanoUsd, balanceNanoUsd };
    // This uses node:crypto because Web Crypto's digest is async, and an await here would let another call in.
    const hash = sha256(hashInput(head.hash, body));
    const entry = { ...body, hash };
    this.#ledgerStore.append(entry, heldByNanoUsd);
    return entry;
  }

  /** Credits a grant; the same grant twice is one entry. @throws RangeError when the amount is zero or less */
  grant(grantId: string, amountNanoUsd: NanoUsd, nowMs: number): Entry {
    const legs = { grantedNanoUsd: amountNanoUsd, paidNanoUsd: nanoUsd(0) };
    return this.#credit('grant', grantId, legs, nowMs).entry;
  }

  /**
   * Credits a paid order; the same order twice is one entry. The part that the account owes is taken off again at once.
   * @throws RangeError when the amount is zero or less
   */
  topUp(orderId: string, amountNanoUsd: NanoUsd, nowMs: number): Entry {
    const legs = { grantedNanoUsd: nanoUsd(0), paidNanoUsd: amountNanoUsd };
    const { entry, isNew } = this.#credit('top_up', orderId, legs, nowMs);
    const debt = Math.min(this.#ledgerStore.head().owedNanoUsd, amountNanoUsd);
    if (isNew && debt > 0) {
      this.#ledgerStore.changeOwed(0 - debt);
      const paidOff = { grantedNanoUsd: nanoUsd(0), paidNanoUsd: nanoUsd(0 - debt) };
      this.append('correction', `${orderId}/debt`, paidOff, nowMs);
    }
    return entry;
  }

  /**
   * Takes credit back (an amount below zero) or returns it (above zero). Holds are promises to running requests, so a
   * correction never takes held credit; the part that it cannot take is owed. Returned credit cancels that debt first.
   * The same reference twice is one correction.
   */
  correct(reference: string, amountNanoUsd: NanoUsd, nowMs: number) {
    const known = this.#ledgerStore.find('correction', reference);
    const entry = known ?? this.#newCorrection(reference, amountNanoUsd, nowMs);
    return { entry, uncollectedNanoUsd: nanoUsd(entry.grantedNanoUsd + entry.paidNanoUsd - amountNanoUsd) };
  }

  #newCorrection(reference: string, amountNanoUsd: NanoUsd, nowMs: number): Entry {
    const head = this.#ledgerStore.head();
    const moved =
      amountNanoUsd < 0
        ? Math.max(amountNanoUsd, 0 - this.available())
        : amountNanoUsd - Math.min(amountNanoUsd, head.owedNanoUsd);
    if (moved !== amountNanoUsd) this.#ledgerStore.changeOwed(moved - amountNanoUsd);
    return this.append('correction', reference, correctionLegs(head, nanoUsd(moved)), nowMs);
  }

  #credit(kind: 'grant' | 'top_up', reference: string, legs: Credit, nowMs: number) {
    const amount = legs.grantedNanoUsd + legs.paidNanoUsd;
    if (amount <= 0) throw new RangeError(`a ${kind} must be above zero, not ${amount} nano-USD`);
    const known = this.#ledgerStore.find(kind, reference);
    return { entry: known ?? this.append(kind, reference, legs, nowMs), isNew: known === null };
  }
}
