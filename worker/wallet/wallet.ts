/**
 * The Wallet: one Durable Object per account, which owns the account's money, holds and limits. Every call is one
 * synchronous transaction, so nothing can come between a check and its write. An alarm settles orphaned holds and
 * publishes to D1 what happened.
 */

import { DurableObject } from 'cloudflare:workers';
import type { AlertThresholds } from '../domain/alert-thresholds.ts';
import type { ConversationHome } from '../domain/conversation.ts';
import type { Ending } from '../domain/hold.ts';
import { decideBegin, REPLAY_LIFETIME_MS } from '../domain/idempotency.ts';
import { newId } from '../domain/ids.ts';
import type { LeaseGrant, LeaseReport } from '../domain/lease.ts';
import type { Entry } from '../domain/ledger.ts';
import {
  type CapPeriod,
  type Load,
  periodStartDay,
  type RateLimitState,
  type ScopedLimits,
} from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { isSound, NO_USAGE } from '../domain/usage.ts';
import type {
  AdmitRequest,
  AdmitResult,
  Balance,
  BeginResult,
  IdempotentRequest,
  LedgerPage,
  PostRequest,
  RequestRecord,
  ResizeRequest,
  WalletApi,
  WalletAuditPage,
  WalletReceipt,
} from '../domain/wallet.ts';
import { config, type Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { WalletAdmission } from './admission.ts';
import { Affinity } from './affinity.ts';
import { Alarm, PUBLISH_DELAY_MS, TRIM_EVERY_MS } from './alarm.ts';
import { Checkpoint } from './checkpoint.ts';
import { foldEntries } from './fold.ts';
import { Headroom } from './headroom.ts';
import { publicRecord } from './held-request.ts';
import { IdempotencyStore } from './idempotency-store.ts';
import { LeaseStore } from './lease-store.ts';
import { Leases } from './leases.ts';
import { Ledger } from './ledger.ts';
import { LedgerStore } from './ledger-store.ts';
import { emptyOutbox, type Published } from './outbox.ts';
import { OutboxStore } from './outbox-store.ts';
import { RateCounters } from './rate-counters.ts';
import { rateLimitState } from './rate-limit-state.ts';
import { takeReceipts } from './receipt-intake.ts';
import { ReceiptStore } from './receipt-store.ts';
import { Receipts } from './receipts.ts';
import { RequestStore } from './request-store.ts';
import { migrate } from './schema.ts';
import { type HoldEnd, WalletSettlement } from './settlement.ts';
import { proofOf, recordOf, SettlementGroups } from './settlement-groups.ts';
import { SpendStore } from './spend-store.ts';
import { WalletStore } from './store.ts';
import { ThresholdAlerts } from './threshold-alerts.ts';

/** Most orphaned holds that one alarm settles, so that its transaction stays short. The next alarm takes the rest. */
const ORPHANS_PER_ALARM_MAX = 200;
/** How long ended requests, leases and receipts are kept after D1 has them. */
const KEEP_ENDED_MS = 24 * 3_600_000;

export class Wallet extends DurableObject<Env> implements WalletApi {
  readonly #store: WalletStore;
  readonly #requestStore: RequestStore;
  readonly #spendStore: SpendStore;
  readonly #checkpoint: Checkpoint;
  readonly #ledgerStore: LedgerStore;
  readonly #outboxStore: OutboxStore;
  readonly #receiptStore: ReceiptStore;
  readonly #idempotencyStore: IdempotencyStore;
  readonly #leaseStore: LeaseStore;
  readonly #groups: SettlementGroups;
  readonly #ledger: Ledger;
  readonly #alerts: ThresholdAlerts;
  readonly #receipts: Receipts;
  readonly #settlement: WalletSettlement;
  readonly #leases: Leases;
  readonly #admission: WalletAdmission;
  readonly #rateCounters = new RateCounters();
  readonly #affinity = new Affinity();
  readonly #alarm: Alarm;
  #publication: Promise<void> = Promise.resolve();
  #trimmedAtMs = 0;
  #chainIsBroken = false;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const { sql } = state.storage;
    migrate(sql);
    this.#store = new WalletStore(sql);
    this.#store.keepAccountId(state.id.name);
    this.#ledgerStore = new LedgerStore(sql);
    this.#outboxStore = new OutboxStore(sql);
    this.#requestStore = new RequestStore(sql, this.#outboxStore.lastSeq);
    this.#spendStore = new SpendStore(sql);
    this.#receiptStore = new ReceiptStore(sql);
    this.#idempotencyStore = new IdempotencyStore(sql);
    this.#leaseStore = new LeaseStore(sql);
    this.#alarm = new Alarm(state.storage);
    this.#groups = new SettlementGroups(sql, this.#graceMs);
    this.#ledger = new Ledger(this.#ledgerStore, (entry) =>
      this.#publish({ kind: 'entry', accountId: this.#store.accountId(), entry }),
    );
    this.#alerts = new ThresholdAlerts(sql, {
      notice: (notice, atMs) => {
        const accountId = this.#store.accountId();
        this.#publish({
          kind: 'notice',
          notification: { id: newId('note', atMs), accountId, atMs, notice },
        });
      },
      recharge: () => this.#publish({ kind: 'recharge', accountId: this.#store.accountId() }),
    });
    const shared = {
      store: this.#store,
      requestStore: this.#requestStore,
      outboxStore: this.#outboxStore,
      spendStore: this.#spendStore,
      ledgerStore: this.#ledgerStore,
      receiptStore: this.#receiptStore,
      idempotencyStore: this.#idempotencyStore,
      leaseStore: this.#leaseStore,
      groups: this.#groups,
      ledger: this.#ledger,
      alerts: this.#alerts,
      rateCounters: this.#rateCounters,
      affinity: this.#affinity,
      publish: this.#publish,
      publishEnded: this.#wakeToPublish,
      graceMs: this.#graceMs,
      leaseMs: this.#holdMs,
      holdMs: this.#holdMs,
      wakeAt: (atMs: number) => this.#alarm.wakeAt(atMs),
    };
    this.#checkpoint = new Checkpoint(sql, shared);
    const headroom = new Headroom(shared);
    this.#receipts = new Receipts(shared);
    this.#settlement = new WalletSettlement({ ...shared, receipts: this.#receipts });
    this.#leases = new Leases({ ...shared, headroom, settlement: this.#settlement });
    this.#admission = new WalletAdmission({ ...shared, headroom, leases: this.#leases });
    this.#reloadRateCounters();
    state.blockConcurrencyWhile(() => this.#alarm.load());
  }

  async admit(request: AdmitRequest): Promise<AdmitResult> {
    const nowMs = Date.now();
    return this.#commit(() => this.#admission.admit(request, nowMs));
  }

  async resize(request: ResizeRequest) {
    const nowMs = Date.now();
    return this.#commit(() => this.#admission.resize(request, nowMs));
  }

  async post(request: PostRequest): Promise<RequestRecord | null> {
    const { requestId, nodeId, usage, ending, ttftMs, conversation } = request;
    if (!isSound(usage)) throw new RangeError(`unsound usage for ${requestId}`);
    const nowMs = Date.now();
    return this.#commit(() => {
      if (conversation !== undefined) {
        this.#affinity.keep({ conversation, nodeId, promptTokens: usage.promptTokens }, null, nowMs);
      }
      return this.#end(requestId, { state: 'posted', ending, nodeId, usage, ttftMs }, nowMs);
    });
  }

  async void({ requestId, nodeId, ending }: { requestId: string; nodeId: string | null; ending: Ending }) {
    const nowMs = Date.now();
    const end = { state: 'voided', ending, nodeId, usage: NO_USAGE, ttftMs: null } as const;
    return this.#commit(() => this.#end(requestId, end, nowMs));
  }

  async lease(report: LeaseReport): Promise<LeaseGrant> {
    const nowMs = Date.now();
    return this.#commit(() => {
      const grant = this.#leases.report(report, nowMs);
      if (report.ended.some(({ ending }) => ending === null)) this.#alarm.wakeAt(nowMs + PUBLISH_DELAY_MS);
      const expiryMs = this.#leases.nextExpiryMs(nowMs);
      if (expiryMs !== null) this.#alarm.wakeAt(expiryMs);
      return grant;
    });
  }

  async reconcile(receipts: readonly WalletReceipt[]): Promise<string[]> {
    const nowMs = Date.now();
    const deps = {
      requestStore: this.#requestStore,
      receiptStore: this.#receiptStore,
      groups: this.#groups,
      receipts: this.#receipts,
      settlement: this.#settlement,
      leases: this.#leases,
    };
    const deferred = this.#commit(() => takeReceipts(deps, receipts, nowMs));
    if (this.#requestStore.hasUnpublished() && this.#requestStore.isComplete()) this.#publishNow();
    return deferred;
  }

  async receiptMatched(requestId: string): Promise<boolean | null> {
    const request = this.#requestStore.find(requestId);
    if (request)
      return (
        this.#requestStore.proofOf(requestId) !== 'none' || this.#receiptStore.has(requestId, request.nodeId)
      );
    const position = this.#groups.find(requestId, Date.now());
    return position && proofOf(position) !== 'none';
  }

  async beginIdempotent(request: IdempotentRequest): Promise<BeginResult> {
    const nowMs = Date.now();
    return this.#commit((): BeginResult => {
      const { others = [] } = request;
      const isKnown = (each: { lookup: string }) => this.#idempotencyStore.find(each.lookup) !== null;
      const { lookup, fingerprint } = isKnown(request) ? request : (others.find(isKnown) ?? request);
      const known = this.#idempotencyStore.find(lookup);
      const knownRequest = known && this.#requestStore.find(known.requestId);
      const state = decideBegin(known && { ...known, request: knownRequest }, fingerprint, nowMs);
      if (state === 'replay')
        return { state, requestId: known!.requestId, parts: this.#idempotencyStore.parts(lookup) };
      if (state !== 'fresh' && state !== 'again') return { state };
      if (state === 'fresh') this.#idempotencyStore.forget(lookup);
      else if (lookup !== request.lookup) this.#idempotencyStore.rename(lookup, request);
      this.#idempotencyStore.begin(request.lookup, { ...request, nowMs });
      return { state: 'fresh' };
    });
  }

  async keepAnswer({ lookup, requestId }: IdempotentRequest, parts: Uint8Array[]): Promise<void> {
    this.#commit(() => {
      if (this.#idempotencyStore.find(lookup)?.requestId === requestId)
        this.#idempotencyStore.keep(lookup, parts);
    });
  }

  async abandonIdempotent({ lookup, requestId }: IdempotentRequest): Promise<void> {
    this.#commit(() => {
      if (this.#idempotencyStore.find(lookup)?.requestId !== requestId) return;
      const paid = this.#idempotencyStore.paidBy(requestId)?.paidNanoUsd ?? 0;
      const charged = (this.#requestStore.find(requestId)?.chargeNanoUsd ?? 0) > 0;
      if (paid > 0) this.#idempotencyStore.lose(lookup, { counts: charged });
      else this.#idempotencyStore.forget(lookup);
    });
  }

  async grant({ grantId, amountNanoUsd }: { grantId: string; amountNanoUsd: NanoUsd }): Promise<Entry> {
    const nowMs = Date.now();
    return this.#commit(() => {
      const entry = this.#ledger.grant(grantId, amountNanoUsd, nowMs);
      this.#alerts.credited(this.#ledger.balance(), nowMs);
      return entry;
    });
  }

  async topUp({ orderId, amountNanoUsd }: { orderId: string; amountNanoUsd: NanoUsd }): Promise<Entry> {
    const nowMs = Date.now();
    return this.#commit(() => {
      const entry = this.#ledger.topUp(orderId, amountNanoUsd, nowMs);
      this.#alerts.credited(this.#ledger.balance(), nowMs);
      return entry;
    });
  }

  async correct({ reference, amountNanoUsd }: { reference: string; amountNanoUsd: NanoUsd }) {
    const nowMs = Date.now();
    return this.#commit(() => {
      const corrected = this.#ledger.correct(reference, amountNanoUsd, nowMs);
      this.#alerts.balance(this.#ledger.balance(), nowMs);
      return corrected;
    });
  }

  async balance(): Promise<Balance> {
    const { grantedNanoUsd, paidNanoUsd, heldNanoUsd, owedNanoUsd } = this.#ledgerStore.head();
    const availableNanoUsd = this.#ledger.available();
    return { grantedNanoUsd, paidNanoUsd, heldNanoUsd, availableNanoUsd, owedNanoUsd };
  }

  async request(requestId: string): Promise<RequestRecord | null> {
    const request = this.#requestStore.find(requestId);
    if (request) return publicRecord(request);
    const position = this.#groups.find(requestId, Date.now());
    return position && recordOf(position);
  }

  async creditedBack(requestId: string): Promise<NanoUsd> {
    const entry = this.#ledgerStore.find('correction', requestId);
    return nanoUsd(entry === null ? 0 : entry.grantedNanoUsd + entry.paidNanoUsd);
  }

  async auditPage({ afterSeq, limit }: { afterSeq: number; limit: number }): Promise<WalletAuditPage> {
    const head = this.#ledgerStore.head();
    return {
      opening: this.#ledgerStore.opening(),
      entries: this.#ledgerStore.entriesAfter(afterSeq, limit),
      headSeq: head.seq,
      balanceNanoUsd: nanoUsd(head.grantedNanoUsd + head.paidNanoUsd),
      unpublishedFromSeq: this.#firstUnpublishedSeq() ?? head.seq + 1,
    };
  }

  async ledger({ beforeSeq, limit }: { beforeSeq?: number; limit: number }): Promise<LedgerPage> {
    const entries = this.#ledgerStore.entriesBefore(beforeSeq ?? Number.MAX_SAFE_INTEGER, limit);
    const oldest = entries.at(-1)?.seq ?? 1;
    return { entries, nextBeforeSeq: oldest > 1 ? oldest : null };
  }

  async load(of: { keyId: string | null; capPeriod: CapPeriod; lineageId?: string | null }): Promise<Load> {
    const { keyId, capPeriod, lineageId } = of;
    const nowMs = Date.now();
    const capKeyId = lineageId ?? keyId;
    const spentNanoUsd = this.#spendStore.since(capKeyId, periodStartDay(capPeriod, nowMs));
    const load = { ...this.#rateCounters.load(keyId, nowMs), spentNanoUsd };
    return capKeyId === null ? load : { ...load, heldNanoUsd: this.#rateCounters.capHeld(capKeyId) };
  }

  async rateLimit({ keyId, limits }: { keyId: string; limits: ScopedLimits }): Promise<RateLimitState> {
    const nowMs = Date.now();
    const load = (scopeKeyId: string | null) => ({
      ...this.#rateCounters.load(scopeKeyId, nowMs),
      spentNanoUsd: nanoUsd(0),
    });
    return rateLimitState(limits, { key: load(keyId), account: load(null) });
  }

  async home(conversation: number): Promise<ConversationHome | null> {
    return this.#affinity.find(conversation) ?? this.#store.home(conversation);
  }

  async tokenUse(tokenId: string) {
    return this.#store.tokenUse(tokenId);
  }

  async setAlertThresholds(change: Partial<AlertThresholds>): Promise<void> {
    this.#commit(() => this.#alerts.change(change, this.#ledger.balance(), Date.now()));
  }

  /** Settles orphaned holds, publishes what happened, folds old entries, forgets what is a day old, and sets the next alarm. */
  override async alarm(): Promise<void> {
    const nowMs = Date.now();
    this.#alarm.fired();
    try {
      this.#commit(() => {
        const orphans = this.#requestStore
          .expired(nowMs)
          .filter((request) => this.#settlement.isSettleable(request, nowMs));
        for (const request of orphans.slice(0, ORPHANS_PER_ALARM_MAX))
          this.#settlement.settleOrphan(request, nowMs);
        this.#leases.expire(nowMs);
        this.#receipts.checkMissing(nowMs);
      });
      await this.#emptyOutbox();
      this.#fold(nowMs);
      if (nowMs - this.#trimmedAtMs > TRIM_EVERY_MS) this.#trim(nowMs);
    } catch (error) {
      console.error(JSON.stringify({ event: 'wallet_alarm_failed', error: describeError(error) }));
      this.#alarm.failed(nowMs);
    } finally {
      this.#alarm.sleep(
        {
          requestStore: this.#requestStore,
          settlement: this.#settlement,
          outboxStore: this.#outboxStore,
          idempotencyStore: this.#idempotencyStore,
          receipts: this.#receipts,
          leases: this.#leases,
          graceMs: this.#graceMs,
        },
        nowMs,
      );
    }
  }

  /** Folds old entries. A ledger whose chain does not verify is reported once and left as it is. */
  #fold(nowMs: number): void {
    if (this.#chainIsBroken) return;
    const deps = {
      ledger: this.#ledger,
      ledgerStore: this.#ledgerStore,
      firstUnpublishedSeq: () => this.#firstUnpublishedSeq(),
      checkpoint: () => this.#checkpoint.save(nowMs),
    };
    const beforeMs = nowMs - config(this.env).ledgerFoldAfterMs;
    this.#chainIsBroken = this.#commit(() => foldEntries(deps, { beforeMs, nowMs })) === 'broken';
    if (this.#chainIsBroken)
      console.error(JSON.stringify({ event: 'ledger_chain_broken', accountId: this.#store.accountId() }));
  }

  #trim(nowMs: number): void {
    this.#trimmedAtMs = nowMs;
    const beforeMs = nowMs - KEEP_ENDED_MS;
    this.#receiptStore.trim(beforeMs);
    this.#store.trim(beforeMs);
    this.#commit(() => {
      this.#checkpoint.saveBeforeTrim(beforeMs, nowMs);
      this.#requestStore.trim(beforeMs);
    });
    // A day before the month began stays for a clock that is a little behind.
    const day = periodStartDay('month', nowMs) - 1;
    this.#commit(() => this.#spendStore.fold(day));
    this.#leaseStore.trim(beforeMs);
    this.#groups.trim(beforeMs);
    this.#idempotencyStore.trim(nowMs - REPLAY_LIFETIME_MS);
    this.#affinity.forget(beforeMs);
    this.#rateCounters.forgetIdle(nowMs);
  }

  /** Ends a held request once. Later calls with the same id change nothing and return how it ended. */
  #end(requestId: string, end: HoldEnd, nowMs: number): RequestRecord | null {
    const request = this.#requestStore.find(requestId);
    if (request === null) return null;
    return request.state === 'held' ? this.#settlement.resolve(request, end, nowMs) : publicRecord(request);
  }

  readonly #publish = (item: Published): void => {
    this.#outboxStore.enqueue(item);
    this.#wakeToPublish();
  };

  readonly #wakeToPublish = (): void => this.#alarm.wakeToPublish(() => this.#publishNow());

  /** Publishes without an alarm. When that fails, an alarm tries again. */
  #publishNow(): void {
    const publication = this.#emptyOutbox().catch((error: unknown) => {
      console.error(JSON.stringify({ event: 'wallet_publish_failed', error: describeError(error) }));
      this.#alarm.failed(Date.now());
      this.#wakeToPublish();
    });
    this.ctx.waitUntil(publication);
  }

  /** Empties the outbox after the publication that is under way: two at once would write the same items. */
  #emptyOutbox(): Promise<void> {
    const deps = {
      accountId: () => this.#store.accountId(),
      outboxStore: this.#outboxStore,
      requestStore: this.#requestStore,
      ledgerStore: this.#ledgerStore,
      groups: this.#groups,
      graceMs: this.#graceMs,
      commit: (work: () => void) => this.#commit(work),
    };
    const publication = this.#publication.then(() => emptyOutbox(this.env, deps));
    this.#publication = publication.catch(() => undefined);
    return publication;
  }

  /** The first ledger entry that D1 may not have yet; null: D1 has all of them. */
  #firstUnpublishedSeq(): number | null {
    const ended = this.#requestStore.unpublished().flatMap(({ record }) => record.entrySeq ?? []);
    const seqs = [this.#outboxStore.firstUnpublishedSeq() ?? [], ended].flat();
    return seqs.length === 0 ? null : Math.min(...seqs);
  }

  /** Runs `work` as one transaction. When it fails, what it counted in memory is counted again from what is stored. */
  #commit<T>(work: () => T): T {
    try {
      return this.ctx.storage.transactionSync(() => {
        const result = work();
        this.#checkpoint.saveIfDue(Date.now());
        return result;
      });
    } catch (error) {
      this.#ledgerStore.load();
      this.#requestStore.load(this.#outboxStore.lastSeq);
      this.#groups.dropIndex();
      this.#reloadRateCounters();
      throw error;
    }
  }

  #reloadRateCounters(): void {
    const recent = (afterMs: number) =>
      [
        ...this.#requestStore.recent(afterMs),
        ...this.#groups.recent(afterMs).map((request) => ({ ...request, tokens: 0, background: false })),
      ].sort((a, b) => a.admittedAtMs - b.admittedAtMs);
    this.#rateCounters.reload({ recent, leases: this.#leaseStore.open() }, Date.now());
  }

  /** How long an expired hold or lease, or a charge, waits for its receipt. */
  readonly #graceMs = (): number => config(this.env).receiptGraceMs;

  /** How long a hold or a lease lasts without renewal. */
  readonly #holdMs = (): number => config(this.env).holdLeaseMs;
}
