/**
 * The Wallet: one per account, owner of its money, holds and limits. Every call is one synchronous transaction,
 * so nothing can come between a check and its write; an alarm expires holds and tells D1 what happened.
 */

import { DurableObject } from 'cloudflare:workers';
import { database } from '../db/client.ts';
import { type OutboxItem, project } from '../db/projection.ts';
import { describeError } from '../describe-error.ts';
import { coveredUsage, type Ending } from '../domain/hold.ts';
import { begin, KEEP_REPLAYS_MS } from '../domain/idempotency.ts';
import { chargeLegs, type Entry } from '../domain/ledger.ts';
import {
  capLeft,
  dayOf,
  type KeyLimits,
  type KeyLoad,
  limitRefusal,
  periodStartDay,
} from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { chargeFor } from '../domain/pricing.ts';
import { writeOff } from '../domain/reconciliation.ts';
import { isSound, NO_USAGE } from '../domain/usage.ts';
import type {
  AdmitRequest,
  AdmitResult,
  Balance,
  BeginResult,
  HoldBound,
  IdempotentWork,
  LedgerPage,
  PostRequest,
  RateLimitState,
  RequestRecord,
  WalletApi,
  WalletBookPage,
  WalletReceipt,
} from '../domain/wallet.ts';
import { config, type Env } from '../env.ts';
import { Ledger } from './ledger.ts';
import { ReplayStore } from './replay-store.ts';
import type { HeldRequest } from './wallet-rows.ts';
import { WalletStore } from './wallet-store.ts';

/** Lets the items of one burst share a D1 batch, and still shows usage within a second. */
const PROJECT_DELAY_MS = 500;
/** After D1 refused: it is one database for everybody, so do not hammer it. */
const PROJECT_RETRY_MS = 5_000;
/** Three statements an item at most keep a batch well under D1's limits. */
const PROJECT_ITEMS_MAX = 50;
const ORPHANS_PER_ALARM_MAX = 200;
const KEEP_ENDED_MS = 24 * 3_600_000;
/** What is a day old may be a little older; looking for it at every alarm would cost more than it frees. */
const TRIM_EVERY_MS = 3_600_000;

export class Wallet extends DurableObject<Env> implements WalletApi {
  readonly #store: WalletStore;
  readonly #ledger: Ledger;
  readonly #replays: ReplayStore;
  /** when the alarm is set for, as far as this object knows */
  #alarmAtMs = Number.POSITIVE_INFINITY;
  #trimmedAtMs = 0;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#store = new WalletStore(state.storage.sql);
    this.#store.keepAccountId(state.id.name);
    this.#ledger = new Ledger(this.#store, (entry) =>
      this.#tell({ kind: 'entry', accountId: this.#store.accountId(), entry }),
    );
    this.#replays = new ReplayStore(state.storage.sql);
    state.blockConcurrencyWhile(async () => {
      this.#alarmAtMs = (await state.storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
    });
  }

  async admit(request: AdmitRequest): Promise<AdmitResult> {
    const nowMs = Date.now();
    const { limits } = request;
    return this.#commit((): AdmitResult => {
      const known = this.#store.request(request.requestId);
      const load = this.#store.keyLoad(request.keyId, periodStartDay(limits.capPeriod, nowMs), nowMs);
      if (known) return this.#admitted(known.heldNanoUsd, rateLimitState(limits, load, 0));

      const { wantedNanoUsd, leastNanoUsd } = request.hold;
      const refusal = limitRefusal(limits, load, leastNanoUsd, nowMs);
      if (refusal) return { ok: false, refusal, rateLimit: rateLimitState(limits, load, 0) };
      const available = this.#ledger.available();
      if (available < leastNanoUsd) {
        return {
          ok: false,
          refusal: {
            reason: 'insufficient_balance',
            requiredNanoUsd: leastNanoUsd,
            availableNanoUsd: available,
          },
          rateLimit: rateLimitState(limits, load, 0),
        };
      }

      const heldNanoUsd = nanoUsd(Math.min(wantedNanoUsd, available, capLeft(limits, load) ?? available));
      const leaseUntilMs = nowMs + this.#leaseMs();
      this.#store.insertRequest({
        requestId: request.requestId,
        keyId: request.keyId,
        modelId: request.modelId,
        stream: request.stream,
        state: 'held',
        ending: null,
        nodeId: null,
        admittedAtMs: nowMs,
        endedAtMs: null,
        heldNanoUsd,
        price: request.price,
        usage: NO_USAGE,
        chargeNanoUsd: nanoUsd(0),
        entrySeq: null,
        ttftMs: null,
        capNanoUsd: limits.capNanoUsd,
        capPeriod: limits.capPeriod,
        leaseUntilMs,
      });
      this.#store.changeHeld(heldNanoUsd);
      this.#wakeAt(leaseUntilMs);
      return this.#admitted(heldNanoUsd, rateLimitState(limits, load, 1));
    });
  }

  async resize({ requestId, wantedNanoUsd }: { requestId: string; wantedNanoUsd: NanoUsd }) {
    const nowMs = Date.now();
    return this.#commit(() => {
      const request = this.#store.request(requestId);
      if (request?.state !== 'held') return null;
      const load = this.#store.keyLoad(request.keyId, periodStartDay(request.capPeriod, nowMs), nowMs);
      const underCap = capLeft({ capNanoUsd: request.capNanoUsd }, load) ?? Number.POSITIVE_INFINITY;
      const heldNanoUsd = nanoUsd(
        Math.min(wantedNanoUsd, request.heldNanoUsd + Math.min(this.#ledger.available(), underCap)),
      );
      const boundBy: HoldBound =
        underCap < this.#ledger.available() ? 'key_cap_reached' : 'insufficient_balance';
      this.#store.setHold(requestId, heldNanoUsd, nowMs + this.#leaseMs());
      this.#store.changeHeld(heldNanoUsd - request.heldNanoUsd);
      return { heldNanoUsd, boundBy: heldNanoUsd < wantedNanoUsd ? boundBy : null };
    });
  }

  async post({ requestId, nodeId, usage, ending, ttftMs }: PostRequest): Promise<RequestRecord | null> {
    if (!isSound(usage)) throw new RangeError(`unsound usage for ${requestId}`);
    return this.#end(requestId, { state: 'posted', ending, nodeId, usage, ttftMs });
  }

  async void({ requestId, nodeId, ending }: { requestId: string; nodeId: string | null; ending: Ending }) {
    return this.#end(requestId, { state: 'voided', ending, nodeId, usage: NO_USAGE, ttftMs: null });
  }

  async reconcile(receipts: readonly WalletReceipt[]): Promise<void> {
    const nowMs = Date.now();
    this.#commit(() => {
      for (const receipt of receipts) {
        if (!isSound(receipt.usage) || !this.#store.insertReceipt(receipt, nowMs)) continue;
        const request = this.#store.request(receipt.requestId);
        if (request?.state === 'held') this.#settleOrphan(request, nowMs);
        else this.#settleReceipts(receipt.requestId, request, nowMs);
      }
    });
  }

  async begin(work: IdempotentWork): Promise<BeginResult> {
    const nowMs = Date.now();
    return this.#commit((): BeginResult => {
      const known = this.#replays.find(work.lookup);
      const request = known && this.#store.request(known.requestId);
      const state = begin(known && { ...known, request }, work.fingerprint, nowMs);
      if (state === 'replay')
        return { state, requestId: known!.requestId, parts: this.#replays.parts(work.lookup) };
      if (state !== 'fresh' && state !== 'again') return { state };
      if (state === 'fresh') this.#replays.forget(work.lookup);
      this.#replays.begin(work.lookup, { ...work, nowMs });
      return { state: 'fresh' };
    });
  }

  async keep(work: IdempotentWork, parts: Uint8Array[]): Promise<void> {
    this.#commit(() => {
      if (this.#replays.find(work.lookup)?.requestId === work.requestId)
        this.#replays.keep(work.lookup, parts);
    });
  }

  async abandon(work: IdempotentWork): Promise<void> {
    this.#commit(() => {
      if (this.#replays.find(work.lookup)?.requestId !== work.requestId) return;
      const paid = this.#replays.paidBy(work.requestId)?.paidNanoUsd ?? 0;
      const charged = (this.#store.request(work.requestId)?.chargeNanoUsd ?? 0) > 0;
      if (paid > 0) this.#replays.lose(work.lookup, { counts: charged });
      else this.#replays.forget(work.lookup);
    });
  }

  async grant({ grantId, amountNanoUsd }: { grantId: string; amountNanoUsd: NanoUsd }): Promise<Entry> {
    const credit = { grantedNanoUsd: amountNanoUsd, paidNanoUsd: nanoUsd(0) };
    return this.#commit(() => this.#ledger.credit('grant', grantId, credit));
  }

  async topUp({ orderId, amountNanoUsd }: { orderId: string; amountNanoUsd: NanoUsd }): Promise<Entry> {
    const credit = { grantedNanoUsd: nanoUsd(0), paidNanoUsd: amountNanoUsd };
    return this.#commit(() => this.#ledger.credit('top_up', orderId, credit));
  }

  async correct(correction: { reference: string; amountNanoUsd: NanoUsd }) {
    return this.#commit(() => this.#ledger.correct(correction));
  }

  async balance(): Promise<Balance> {
    const { grantedNanoUsd, paidNanoUsd, heldNanoUsd } = this.#store.head();
    return { grantedNanoUsd, paidNanoUsd, heldNanoUsd, availableNanoUsd: this.#ledger.available() };
  }

  async request(requestId: string): Promise<RequestRecord | null> {
    const request = this.#store.request(requestId);
    return request && publicRecord(request);
  }

  async givenBack(requestId: string): Promise<NanoUsd> {
    const entry = this.#store.entryOf('correction', requestId);
    return nanoUsd(entry === null ? 0 : entry.grantedNanoUsd + entry.paidNanoUsd);
  }

  async bookPage({ afterSeq, limit }: { afterSeq: number; limit: number }): Promise<WalletBookPage> {
    const head = this.#store.head();
    return {
      entries: this.#store.entriesAfter(afterSeq, limit),
      headSeq: head.seq,
      balanceNanoUsd: nanoUsd(head.grantedNanoUsd + head.paidNanoUsd),
      untoldFromSeq: this.#store.firstUntoldSeq() ?? head.seq + 1,
    };
  }

  async ledger({ beforeSeq, limit }: { beforeSeq?: number; limit: number }): Promise<LedgerPage> {
    const entries = this.#store.entries(beforeSeq ?? Number.MAX_SAFE_INTEGER, limit);
    const oldest = entries.at(-1)?.seq ?? 1;
    return { entries, nextBeforeSeq: oldest > 1 ? oldest : null };
  }

  async keySpend(keyId: string, limits: KeyLimits) {
    const nowMs = Date.now();
    const { spentNanoUsd, heldNanoUsd } = this.#store.keyLoad(
      keyId,
      periodStartDay(limits.capPeriod, nowMs),
      nowMs,
    );
    return { spentNanoUsd, heldNanoUsd };
  }

  /** Expires orphaned holds, tells D1 what happened, forgets what is a day old; then sleeps until there is more. */
  override async alarm(): Promise<void> {
    const nowMs = Date.now();
    this.#alarmAtMs = Number.POSITIVE_INFINITY;
    let retryAtMs: number | null = null;
    try {
      this.#commit(() => {
        for (const request of this.#store.settleable(nowMs, this.#graceMs(), ORPHANS_PER_ALARM_MAX)) {
          this.#settleOrphan(request, nowMs);
        }
      });
      await this.#project();
      if (nowMs - this.#trimmedAtMs > TRIM_EVERY_MS) {
        this.#trimmedAtMs = nowMs;
        this.#store.trim(nowMs - KEEP_ENDED_MS);
        this.#replays.trim(nowMs - KEEP_REPLAYS_MS);
      }
    } catch (error) {
      console.error(JSON.stringify({ event: 'wallet_alarm_failed', error: describeError(error) }));
      retryAtMs = nowMs + PROJECT_RETRY_MS;
    } finally {
      this.#sleep(nowMs, retryAtMs);
    }
  }

  #admitted(heldNanoUsd: NanoUsd, rateLimit: RateLimitState): AdmitResult {
    return { ok: true, heldNanoUsd, availableNanoUsd: this.#ledger.available(), rateLimit };
  }

  /** Ends a held request once; later calls with the same id change nothing and return how it ended. */
  #end(
    requestId: string,
    end: Pick<RequestRecord, 'state' | 'nodeId' | 'usage' | 'ttftMs'> & { ending: Ending },
  ): RequestRecord | null {
    return this.#commit(() => {
      const request = this.#store.request(requestId);
      if (request === null) return null;
      return request.state === 'held' ? this.#resolve(request, end, Date.now()) : publicRecord(request);
    });
  }

  /** The one place where a hold becomes a charge or nothing: inside the caller's transaction. */
  #resolve(
    request: HeldRequest,
    end: Pick<RequestRecord, 'state' | 'nodeId' | 'usage' | 'ttftMs'> & { ending: Ending },
    nowMs: number,
  ): RequestRecord {
    const usage = coveredUsage(end.usage, request.heldNanoUsd, request.price);
    const chargeNanoUsd = chargeFor(usage, request.price);
    this.#store.changeHeld(-request.heldNanoUsd);
    const entry =
      chargeNanoUsd === 0
        ? null
        : this.#ledger.append(
            'charge',
            request.requestId,
            chargeLegs(this.#store.head(), chargeNanoUsd),
            nowMs,
          );
    if (entry) {
      this.#store.addSpend(request.keyId, dayOf(nowMs), chargeNanoUsd);
      this.#giveBackRepeated(request, entry, nowMs);
    }

    const ended: RequestRecord = {
      ...publicRecord(request),
      ...end,
      usage,
      endedAtMs: nowMs,
      heldNanoUsd: nanoUsd(0),
      chargeNanoUsd,
      entrySeq: entry?.seq ?? null,
    };
    this.#store.endRequest(ended);
    this.#tell({ kind: 'usage', accountId: this.#store.accountId(), request: ended });
    this.#settleReceipts(request.requestId, ended, nowMs);
    return ended;
  }

  /**
   * A hold whose edge has not been heard of: the node's receipt decides as soon as one shows output;
   * without one it is voided when the grace is over, because nobody pays for what cannot be proved.
   */
  #settleOrphan(request: HeldRequest, nowMs: number): void {
    if (nowMs <= request.leaseUntilMs) return;
    const proof = this.#store
      .unsettledReceipts(request.requestId)
      .filter((receipt) => provesDelivery(receipt, request))
      .sort((a, b) => b.usage.completionTokens - a.usage.completionTokens)[0];
    if (proof) {
      const { nodeId, usage, ttftMs } = proof;
      this.#resolve(
        request,
        { state: 'expired', ending: 'settled_by_receipt', nodeId, usage, ttftMs },
        nowMs,
      );
    } else if (nowMs > request.leaseUntilMs + this.#graceMs()) {
      const nothing = { nodeId: null, usage: NO_USAGE, ttftMs: null };
      this.#resolve(request, { state: 'expired', ending: 'unproved', ...nothing }, nowMs);
    }
  }

  /** Works out what of each waiting receipt nobody was billed for. */
  #settleReceipts(requestId: string, request: RequestRecord | null, nowMs: number): void {
    for (const receipt of this.#store.unsettledReceipts(requestId)) {
      const settled = request && {
        state: request.state,
        ending: request.ending!,
        nodeId: request.nodeId,
        billed: request.usage,
      };
      this.#store.settleReceipt(receipt);
      this.#tell({
        kind: 'receipt',
        accountId: this.#store.accountId(),
        receivedAtMs: nowMs,
        receipt,
        writeOff: writeOff(receipt, settled),
      });
    }
  }

  /**
   * A request that runs again for its idempotency key is paid only as far as it cost more than the runs before it:
   * of all runs together the customer pays the dearest.
   */
  #giveBackRepeated(request: HeldRequest, charge: Entry, nowMs: number): void {
    const key = this.#replays.paidBy(request.requestId);
    if (!key) return;
    const chargeNanoUsd = -(charge.grantedNanoUsd + charge.paidNanoUsd);
    const back = Math.min(key.paidNanoUsd, chargeNanoUsd);
    this.#replays.setPaid(key.lookup, Math.max(key.paidNanoUsd, chargeNanoUsd));
    if (back === 0) return;
    // paid credit first: it is the last that the charge took
    const paidNanoUsd = nanoUsd(Math.min(back, -charge.paidNanoUsd));
    const legs = { grantedNanoUsd: nanoUsd(back - paidNanoUsd), paidNanoUsd };
    this.#ledger.append('correction', request.requestId, legs, nowMs);
    this.#store.addSpend(request.keyId, dayOf(nowMs), nanoUsd(-back));
  }

  async #project(): Promise<void> {
    for (;;) {
      const items = this.#store.outbox(PROJECT_ITEMS_MAX);
      if (items.length === 0) return;
      await project(
        database(this.env),
        items.map(({ item }) => JSON.parse(item) as OutboxItem),
      );
      this.#store.dequeue(items.at(-1)!.seq);
    }
  }

  #tell(item: OutboxItem): void {
    this.#store.enqueue(item);
    this.#wakeAt(Date.now() + PROJECT_DELAY_MS);
  }

  #wakeAt(atMs: number): void {
    if (atMs >= this.#alarmAtMs) return;
    this.#alarmAtMs = atMs;
    void this.ctx.storage.setAlarm(atMs);
  }

  /** Sets the alarm for whatever comes first: new items, the end of a lease or of a grace; after a failure, a retry. */
  #sleep(nowMs: number, retryAtMs: number | null): void {
    // what failed is still due: anything sooner than the retry would be tried at once, again and again
    if (retryAtMs !== null) {
      this.#wakeAt(retryAtMs);
      return;
    }
    const soonMs = nowMs + PROJECT_DELAY_MS;
    if (this.#store.outbox(1).length > 0) this.#wakeAt(soonMs);
    if (this.#store.settleable(nowMs, this.#graceMs(), 1).length > 0) this.#wakeAt(soonMs);
    const leaseEndMs = this.#store.nextLeaseEndMs(nowMs);
    if (leaseEndMs !== null) this.#wakeAt(leaseEndMs + 1);
    const orphanedMs = this.#store.nextLeaseEndMs(0);
    if (orphanedMs !== null && orphanedMs < nowMs) {
      this.#wakeAt(Math.max(soonMs, orphanedMs + this.#graceMs() + 1));
    }
    const oldestReplayMs = this.#replays.oldestMs();
    if (oldestReplayMs !== null) {
      this.#wakeAt(Math.max(nowMs + TRIM_EVERY_MS, oldestReplayMs + KEEP_REPLAYS_MS));
    }
  }

  #commit<T>(work: () => T): T {
    return this.ctx.storage.transactionSync(work);
  }

  #graceMs(): number {
    return config(this.env).receiptGraceMs;
  }

  #leaseMs(): number {
    return config(this.env).holdLeaseMs;
  }
}

/** A whole answer leaves the edge only when it is complete: an attempt that failed on the way reached nobody. */
function provesDelivery({ usage, outcome }: WalletReceipt, { stream }: RequestRecord): boolean {
  return usage.completionTokens > 0 && (stream || outcome === 'finished' || outcome === 'aborted');
}

function rateLimitState(limits: KeyLimits, load: KeyLoad, admitted: 0 | 1): RateLimitState {
  const used = load.requestsLastMinute + admitted;
  return {
    requestsLimit: limits.requestsPerMinute,
    requestsRemaining: Math.max(0, limits.requestsPerMinute - used),
    resetMs: load.requestsLastMinute === 0 ? 60_000 : Math.max(1, 60_000 - load.oldestRequestAgeMs),
  };
}

function publicRecord(request: HeldRequest): RequestRecord {
  const { capNanoUsd: _cap, capPeriod: _period, leaseUntilMs: _lease, ...record } = request;
  return record;
}
