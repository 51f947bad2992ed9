/**
 * When the Wallet's Durable Object wakes up. It has one alarm for all of its deadlines, so the alarm is set for the
 * earliest of them.
 */
import { REPLAY_LIFETIME_MS } from '../domain/idempotency.ts';
import type { IdempotencyStore } from './idempotency-store.ts';
import type { Leases } from './leases.ts';
import type { OutboxStore } from './outbox-store.ts';
import type { Receipts } from './receipts.ts';
import type { WalletStore } from './store.ts';

/** Lets the items of one burst share a D1 batch, and still shows usage within a second. */
export const PUBLISH_DELAY_MS = 500;
/** Pause after a failure. D1 is one database for all accounts, so it is not tried in quick succession. */
const RETRY_MS = 5_000;
/** Least time between two trims: rows that are a day old may stay a little longer, and each search for them costs reads. */
export const TRIM_EVERY_MS = 3_600_000;

/** The parts of a Wallet that have deadlines. */
export interface DeadlineSources {
  readonly store: WalletStore;
  readonly outboxStore: OutboxStore;
  readonly idempotencyStore: IdempotencyStore;
  readonly receipts: Receipts;
  readonly leases: Leases;
  /** How long an expired hold waits for a receipt. */
  readonly graceMs: () => number;
}

export class Alarm {
  readonly #storage: DurableObjectStorage;
  /** When the alarm is set for, as far as this object knows. */
  #atMs = Number.POSITIVE_INFINITY;
  /** After a failure, the time before which nothing is published again; 0: nothing failed. */
  #retryAtMs = 0;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** Reads the alarm that an earlier instance of the object set. */
  async load(): Promise<void> {
    this.#atMs = (await this.#storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
  }

  /** Sets the alarm, unless it is set for an earlier time already. */
  wakeAt(atMs: number): void {
    if (atMs >= this.#atMs) return;
    this.#atMs = atMs;
    void this.#storage.setAlarm(atMs);
  }

  wakeToPublish(): void {
    this.wakeAt(Math.max(Date.now() + PUBLISH_DELAY_MS, this.#retryAtMs));
  }

  /** The alarm has gone off, so none is set any more. */
  fired(): void {
    this.#atMs = Number.POSITIVE_INFINITY;
    this.#retryAtMs = 0;
  }

  failed(nowMs: number): void {
    this.#retryAtMs = nowMs + RETRY_MS;
  }

  /** Sets the alarm for the earliest deadline; after a failure, for the retry. */
  sleep(sources: DeadlineSources, nowMs: number): void {
    // After a failure its work is still due: a deadline before the retry would repeat it at once, again and again.
    const deadlines = this.#retryAtMs > 0 ? [this.#retryAtMs] : deadlinesOf(sources, nowMs);
    this.wakeAt(Math.min(...deadlines));
  }
}

/** The times at which something has to be done, from PUBLISH_DELAY_MS after now on. */
function deadlinesOf(sources: DeadlineSources, nowMs: number): number[] {
  const { store, outboxStore, idempotencyStore, receipts, leases, graceMs } = sources;
  const soonMs = nowMs + PUBLISH_DELAY_MS;
  const deadlines: number[] = [];
  if (!outboxStore.isEmpty()) deadlines.push(soonMs);
  const receiptCheckMs = receipts.nextCheckMs();
  if (receiptCheckMs !== null) deadlines.push(Math.max(soonMs, receiptCheckMs));
  if (store.settleable(nowMs, graceMs(), 1).length > 0) deadlines.push(soonMs);
  const leaseExpiryMs = leases.nextExpiryMs(nowMs);
  if (leaseExpiryMs !== null) deadlines.push(Math.max(soonMs, leaseExpiryMs));
  const holdExpiryMs = store.nextHoldExpiryMs(nowMs);
  if (holdExpiryMs !== null) deadlines.push(holdExpiryMs + 1);
  const orphanedMs = store.nextHoldExpiryMs(0);
  if (orphanedMs !== null && orphanedMs < nowMs) deadlines.push(Math.max(soonMs, orphanedMs + graceMs() + 1));
  const oldestReplayMs = idempotencyStore.oldestMs();
  if (oldestReplayMs !== null)
    deadlines.push(Math.max(nowMs + TRIM_EVERY_MS, oldestReplayMs + REPLAY_LIFETIME_MS));
  return deadlines;
}
