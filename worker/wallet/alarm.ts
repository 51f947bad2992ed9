/**
 * When the Wallet's Durable Object wakes up. It has one alarm for all of its deadlines, so the alarm is set for the
 * earliest of them.
 */
import { REPLAY_LIFETIME_MS } from '../domain/idempotency.ts';
import type { IdempotencyStore } from './idempotency-store.ts';
import type { Leases } from './leases.ts';
import type { OutboxStore } from './outbox-store.ts';
import type { Receipts } from './receipts.ts';
import type { RequestStore } from './request-store.ts';
import type { WalletSettlement } from './settlement.ts';

/** Lets the items of one burst share a D1 batch, and still shows usage within a second. */
export const PUBLISH_DELAY_MS = 500;
/** Pause after a failure. D1 is one database for all accounts, so it is not tried in quick succession. */
const RETRY_MS = 5_000;
/** Items that a lost object has not published are published within this time, if nothing wakes the object earlier. */
const PUBLISHED_WITHIN_MS = 180_000;
/** Least time between two trims: rows that are a day old may stay a little longer, and each search for them costs reads. */
export const TRIM_EVERY_MS = 3_600_000;

/** The parts of a Wallet that have deadlines. */
export interface DeadlineSources {
  readonly requestStore: RequestStore;
  readonly settlement: WalletSettlement;
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
  #timer: ReturnType<typeof setTimeout> | null = null;

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

  /**
   * Has `publish` called in PUBLISH_DELAY_MS. A timer does, which writes nothing, when the alarm would publish soon enough
   * if this object was lost before.
   */
  wakeToPublish(publish: () => void): void {
    const atMs = Math.max(Date.now() + PUBLISH_DELAY_MS, this.#retryAtMs);
    if (this.#atMs > atMs + PUBLISHED_WITHIN_MS) this.wakeAt(atMs);
    else
      this.#timer ??= setTimeout(() => {
        this.#timer = null;
        publish();
      }, atMs - Date.now());
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
  const { requestStore, settlement, outboxStore, idempotencyStore, receipts, leases, graceMs } = sources;
  const soonMs = nowMs + PUBLISH_DELAY_MS;
  const deadlines: number[] = [];
  if (!outboxStore.isEmpty() || requestStore.hasUnpublished()) deadlines.push(soonMs);
  const receiptCheckMs = receipts.nextCheckMs();
  if (receiptCheckMs !== null) deadlines.push(Math.max(soonMs, receiptCheckMs));
  if (requestStore.expired(nowMs).some((request) => settlement.isSettleable(request, nowMs)))
    deadlines.push(soonMs);
  const leaseExpiryMs = leases.nextExpiryMs(nowMs);
  if (leaseExpiryMs !== null) deadlines.push(Math.max(soonMs, leaseExpiryMs));
  const holdExpiryMs = requestStore.nextHoldExpiryMs(nowMs);
  if (holdExpiryMs !== null) deadlines.push(holdExpiryMs + 1);
  const orphanedMs = requestStore.nextHoldExpiryMs(0);
  if (orphanedMs !== null && orphanedMs < nowMs) deadlines.push(Math.max(soonMs, orphanedMs + graceMs() + 1));
  const oldestReplayMs = idempotencyStore.oldestMs();
  if (oldestReplayMs !== null)
    deadlines.push(Math.max(nowMs + TRIM_EVERY_MS, oldestReplayMs + REPLAY_LIFETIME_MS));
  return deadlines;
}
