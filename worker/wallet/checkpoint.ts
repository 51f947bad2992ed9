/**
 * The checkpoint: one row with the head of the ledger and how far the outbox was published, as they were at some time. A
 * Wallet that starts reads it and what was stored after it, so that a request need not write these sums. Calls run in the
 * caller's transaction.
 */
import type { LedgerStore } from './ledger-store.ts';
import type { OutboxStore } from './outbox-store.ts';
import type { RequestStore } from './request-store.ts';
import type { SpendStore } from './spend-store.ts';

/** Most entries after the checkpoint: a restart reads them, and each check of a cap. */
const ENTRIES_MAX = 64;

export class Checkpoint {
  readonly #sql: SqlStorage;
  readonly #parts: {
    readonly ledgerStore: LedgerStore;
    readonly outboxStore: OutboxStore;
    readonly requestStore: RequestStore;
    readonly spendStore: SpendStore;
  };

  constructor(
    sql: SqlStorage,
    parts: {
      ledgerStore: LedgerStore;
      outboxStore: OutboxStore;
      requestStore: RequestStore;
      spendStore: SpendStore;
    },
  ) {
    this.#sql = sql;
    this.#parts = parts;
  }

  saveIfDue(nowMs: number): void {
    if (this.#parts.ledgerStore.entriesAfterCheckpoint >= ENTRIES_MAX) this.save(nowMs);
  }

  save(nowMs: number): void {
    const { ledgerStore, outboxStore, requestStore, spendStore } = this.#parts;
    // The spend of entries up to the checkpoint is stored with it, so each charge counts once.
    spendStore.store();
    const head = ledgerStore.checkpoint();
    const { publishedSeq, openFrom } = requestStore.checkpoint(nowMs);
    this.#sql.exec(
      'UPDATE checkpoint SET granted_nano_usd = ?, paid_nano_usd = ?, seq = ?, hash = ?, outbox_seq = ?, published_seq = ?, open_from = ?',
      head.grantedNanoUsd,
      head.paidNanoUsd,
      head.seq,
      head.hash,
      outboxStore.lastSeq,
      publishedSeq,
      openFrom,
    );
  }

  /** Saves before rows are removed that a restart would read after the checkpoint. */
  saveBeforeTrim(beforeMs: number, nowMs: number): void {
    if (this.#parts.requestStore.needsCheckpoint(beforeMs)) this.save(nowMs);
  }
}
