/** The Wallet's ledger: entries are only ever appended, each chained to the one before it. Runs in the caller's transaction. */
import { createHash } from 'node:crypto';
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
import type { WalletStore } from './store.ts';

export class Ledger {
  readonly #store: WalletStore;
  readonly #onEntry: (entry: Entry) => void;

  constructor(store: WalletStore, onEntry: (entry: Entry) => void) {
    this.#store = store;
    this.#onEntry = onEntry;
  }

  /** What is posted: granted and paid together. */
  balance(): NanoUsd {
    const { grantedNanoUsd, paidNanoUsd } = this.#store.head();
    return nanoUsd(grantedNanoUsd + paidNanoUsd);
  }

  /** Ledger balance less what is held. */
  available(): NanoUsd {
    const { grantedNanoUsd, paidNanoUsd, heldNanoUsd } = this.#store.head();
    return nanoUsd(grantedNanoUsd + paidNanoUsd - heldNanoUsd);
  }

  append(kind: EntryKind, reference: string, legs: Credit, atMs: number): Entry {
    const entry = this.#append(kind, reference, legs, { atMs, heldByNanoUsd: 0 });
    this.#onEntry(entry);
    return entry;
  }

  /** One entry for requests that are settled together, and the end of what was held for them. Who settles them tells of it. */
  charge(
    requestIds: readonly string[],
    { chargeNanoUsd, heldByNanoUsd, atMs }: { chargeNanoUsd: NanoUsd; heldByNanoUsd: number; atMs: number },
  ): Entry {
    const legs = chargeLegs(this.#store.head(), chargeNanoUsd);
    return this.#append('charge', chargeReference(requestIds), legs, { atMs, heldByNanoUsd });
  }

  #append(
    kind: EntryKind,
    reference: string,
    legs: Credit,
    { atMs, heldByNanoUsd }: { atMs: number; heldByNanoUsd: number },
  ): Entry {
    const head = this.#store.head();
    const { grantedNanoUsd, paidNanoUsd } = legs;
    const balanceNanoUsd = nanoUsd(head.grantedNanoUsd + head.paidNanoUsd + grantedNanoUsd + paidNanoUsd);
    const body = { seq: head.seq + 1, atMs, kind, reference, grantedNanoUsd, paidNanoUsd, balanceNanoUsd };
    // node:crypto, because Web Crypto's digest is async and an await here would let another call in
    const hash = createHash('sha256').update(hashInput(head.hash, body)).digest('hex');
    const entry = { ...body, hash };
    this.#store.append(entry, heldByNanoUsd);
    return entry;
  }

  /** The same grant twice is one entry. @throws RangeError when nothing or less is credited */
  grant(grantId: string, amountNanoUsd: NanoUsd, nowMs: number): Entry {
    const legs = { grantedNanoUsd: amountNanoUsd, paidNanoUsd: nanoUsd(0) };
    return this.#credit('grant', grantId, legs, nowMs).entry;
  }

  /** The same order twice is one entry. What the account owes is paid off first. @throws RangeError as for a grant */
  topUp(orderId: string, amountNanoUsd: NanoUsd, nowMs: number): Entry {
    const legs = { grantedNanoUsd: nanoUsd(0), paidNanoUsd: amountNanoUsd };
    const { entry, isNew } = this.#credit('top_up', orderId, legs, nowMs);
    const debt = Math.min(this.#store.head().owedNanoUsd, amountNanoUsd);
    if (isNew && debt > 0) {
      this.#store.changeOwed(0 - debt);
      const paidOff = { grantedNanoUsd: nanoUsd(0), paidNanoUsd: nanoUsd(0 - debt) };
      this.append('correction', `${orderId}/debt`, paidOff, nowMs);
    }
    return entry;
  }

  /**
   * Holds are promises to requests that run: a correction takes nothing of what they hold, and what it cannot take is
   * owed. What is given again cancels that debt first. The same reference twice is one correction.
   */
  correct(reference: string, amountNanoUsd: NanoUsd, nowMs: number) {
    const known = this.#store.entryOf('correction', reference);
    const entry = known ?? this.#newCorrection(reference, amountNanoUsd, nowMs);
    return { entry, uncollectedNanoUsd: nanoUsd(entry.grantedNanoUsd + entry.paidNanoUsd - amountNanoUsd) };
  }

  #newCorrection(reference: string, amountNanoUsd: NanoUsd, nowMs: number): Entry {
    const head = this.#store.head();
    const moved =
      amountNanoUsd < 0
        ? Math.max(amountNanoUsd, 0 - this.available())
        : amountNanoUsd - Math.min(amountNanoUsd, head.owedNanoUsd);
    if (moved !== amountNanoUsd) this.#store.changeOwed(moved - amountNanoUsd);
    return this.append('correction', reference, correctionLegs(head, nanoUsd(moved)), nowMs);
  }

  #credit(kind: 'grant' | 'top_up', reference: string, legs: Credit, nowMs: number) {
    const amount = legs.grantedNanoUsd + legs.paidNanoUsd;
    if (amount <= 0) throw new RangeError(`a ${kind} must be above zero, not ${amount} nano-USD`);
    const known = this.#store.entryOf(kind, reference);
    return { entry: known ?? this.append(kind, reference, legs, nowMs), isNew: known === null };
  }
}
