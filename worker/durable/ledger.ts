/** The Wallet's ledger: entries are only ever appended, each chained to the one before it. Runs in the caller's transaction. */
import { createHash } from 'node:crypto';
import { type Credit, correctionLegs, type Entry, type EntryKind, hashInput } from '../domain/ledger.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { WalletStore } from './wallet-store.ts';

export class Ledger {
  readonly #store: WalletStore;
  readonly #onEntry: (entry: Entry) => void;

  constructor(store: WalletStore, onEntry: (entry: Entry) => void) {
    this.#store = store;
    this.#onEntry = onEntry;
  }

  /** Ledger balance less what is held. */
  available(): NanoUsd {
    const { grantedNanoUsd, paidNanoUsd, heldNanoUsd } = this.#store.head();
    return nanoUsd(grantedNanoUsd + paidNanoUsd - heldNanoUsd);
  }

  append(kind: EntryKind, reference: string, legs: Credit, atMs: number): Entry {
    const head = this.#store.head();
    const { grantedNanoUsd, paidNanoUsd } = legs;
    const balanceNanoUsd = nanoUsd(head.grantedNanoUsd + head.paidNanoUsd + grantedNanoUsd + paidNanoUsd);
    const body = { seq: head.seq + 1, atMs, kind, reference, grantedNanoUsd, paidNanoUsd, balanceNanoUsd };
    // node:crypto, because Web Crypto's digest is async and an await here would let another call in
    const hash = createHash('sha256').update(hashInput(head.hash, body)).digest('hex');
    const entry = { ...body, hash };
    this.#store.append(entry);
    this.#onEntry(entry);
    return entry;
  }

  /** The same grant or order twice is one entry. @throws RangeError when nothing or less is credited */
  credit(kind: 'grant' | 'top_up', reference: string, credit: Credit): Entry {
    const amount = credit.grantedNanoUsd + credit.paidNanoUsd;
    if (amount <= 0) throw new RangeError(`a ${kind} must be above zero, not ${amount} nano-USD`);
    return this.#store.entryOf(kind, reference) ?? this.append(kind, reference, credit, Date.now());
  }

  /** Holds are promises to requests that run: a correction takes nothing of what they hold. */
  correct({ reference, amountNanoUsd }: { reference: string; amountNanoUsd: NanoUsd }) {
    const possible = nanoUsd(Math.max(amountNanoUsd, 0 - this.available()));
    const entry =
      this.#store.entryOf('correction', reference) ??
      this.append('correction', reference, correctionLegs(this.#store.head(), possible), Date.now());
    return { entry, uncollectedNanoUsd: nanoUsd(entry.grantedNanoUsd + entry.paidNanoUsd - amountNanoUsd) };
  }
}
