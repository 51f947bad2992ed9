/**
 * The Wallet: one per account, owner of its money, holds and limits. Every call is one synchronous transaction,
 * so nothing can come between a check and its write; an alarm expires holds and tells D1 what happened.
 */

import { DurableObject } from 'cloudflare:workers';
import type { AlertThresholds } from '../domain/alert-thresholds.ts';
import type { Ending } from '../domain/hold.ts';
import { begin, KEEP_REPLAYS_MS } from '../domain/idempotency.ts';
import { newId } from '../domain/ids.ts';
import type { LeaseGrant, LeaseReport } from '../domain/lease.ts';
import type { Entry } from '../domain/ledger.ts';
import type { RateLimitState } from '../domain/limits.ts';
import {
  type CapPeriod,
  capLeft,
  LIMIT_SCOPES,
  type Load,
  limitRefusal,
  periodStartDay,
  type ScopedLimits,
} from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { isSound, NO_USAGE } from '../domain/usage.ts';
import type {
  AdmitRefusal,
  AdmitRequest,
  AdmitResult,
  Balance,
  BeginResult,
  IdempotentWork,
  LedgerPage,
  PostRequest,
  RequestRecord,
  ResizeRequest,
  TokenCap,
  WalletApi,
  WalletAuditPage,
  WalletReceipt,
} from '../domain/wallet.ts';
import { config, type Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { Affinity } from './affinity.ts';
import { Headroom } from './headroom.ts';
import { publicRecord } from './held-request.ts';
import { IdempotencyStore } from './idempotency-store.ts';
import { LeaseStore } from './lease-store.ts';
import { Leases } from './leases.ts';
import { Ledger } from './ledger.ts';
import { emptyOutbox, type Published } from './outbox.ts';
import { RateCounters } from './rate-counters.ts';
import { rateLimitState } from './rate-limit-state.ts';
import { takeReceipts } from './receipt-intake.ts';
import { Receipts } from './receipts.ts';
import { type HoldEnd, Settlement } from './settlement.ts';
import { proofOf, recordOf, SettlementGroups } from './settlement-groups.ts';
import { WalletStore } from './store.ts';
import { ThresholdAlerts } from './threshold-alerts.ts';

/** Lets the items of one burst share a D1 batch, and still shows usage within a second. */
const PROJECT_DELAY_MS = 500;
/** After D1 refused: it is one database for everybody, so do not hammer it. */
const PROJECT_RETRY_MS = 5_000;
const ORPHANS_PER_ALARM_MAX = 200;
/** Isolates report several times a second; by then each has heard that it is to give its slack back. */
const SLACK_RETURNS_MS = 300;
const KEEP_ENDED_MS = 24 * 3_600_000;
/** What is a day old may be a little older; looking for it at every alarm would cost more than it frees. */
const TRIM_EVERY_MS = 3_600_000;

export class Wallet extends DurableObject<Env> implements WalletApi {
  readonly #store: WalletStore;
  readonly #ledger: Ledger;
  readonly #leaseStore: LeaseStore;
  readonly #leases: Leases;
  readonly #room: Headroom;
  readonly #replays: IdempotencyStore;
  readonly #watcher: ThresholdAlerts;
  readonly #pages: SettlementGroups;
  readonly #receipts: Receipts;
  readonly #settlement: Settlement;
  readonly #homes = new Affinity();
  readonly #traffic = new RateCounters();
  /** when the alarm is set for, as far as this object knows */
  #alarmAtMs = Number.POSITIVE_INFINITY;
  #trimmedAtMs = 0;
  /** after a failure: not before this; 0: nothing failed */
  #retryAtMs = 0;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const { sql } = state.storage;
    const tell = (item: Published) => this.#tell(item);
    const store = new WalletStore(sql);
    store.keepAccountId(state.id.name);
    const ledger = new Ledger(store, (entry) => tell({ kind: 'entry', accountId: store.accountId(), entry }));
    const replays = new IdempotencyStore(sql);
    const watcher = new ThresholdAlerts(sql, {
      notice: (notice, atMs) => {
        const notification = { id: newId('note', atMs), accountId: store.accountId(), atMs, notice };
        tell({ kind: 'notice', notification });
      },
      recharge: () => tell({ kind: 'recharge', accountId: store.accountId() }),
    });
    const traffic = this.#traffic;
    const homes = this.#homes;
    const graceMs = () => this.#graceMs();
    const leaseMs = () => this.#leaseMs();
    const pages = new SettlementGroups(sql, graceMs);
    const receipts = new Receipts({ store, pages, tell, graceMs });
    const parts = { store, pages, receipts, ledger, replays, traffic, watcher, tell, graceMs };
    const settlement = new Settlement(parts);
    const room = new Headroom(parts);
    const leases = new LeaseStore(sql);
    this.#leases = new Leases({ ...parts, leases, homes, room, settlement, leaseMs });
    this.#leaseStore = leases;
    this.#pages = pages;
    this.#receipts = receipts;
    this.#settlement = settlement;
    this.#room = room;
    this.#store = store;
    this.#ledger = ledger;
    this.#replays = replays;
    this.#watcher = watcher;
    this.#countTraffic();
    state.blockConcurrencyWhile(async () => {
      this.#alarmAtMs = (await state.storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
    });
  }

  async admit(request: AdmitRequest): Promise<AdmitResult> {
    const nowMs = Date.now();
    const { requestId, keyId, limits, tokens } = request;
    return this.#commit((): AdmitResult => {
      const known = this.#store.request(requestId);
      if (known) return this.#admitted(known.heldNanoUsd, request, nowMs);

      const { wantedNanoUsd } = request.hold;
      const loads = this.#room.loads(keyId, limits, nowMs);
      const refusal = this.#refusal(request, loads, this.#ledger.available(), nowMs);
      if (refusal) {
        const againInMs = this.#onlySlackIsInTheWay(request, nowMs) ? SLACK_RETURNS_MS : null;
        return { ok: false, refusal, rateLimit: rateLimitState(limits, loads), againInMs };
      }

      const token = request.token ?? null;
      const available = this.#ledger.available();
      const tokenLeft = this.#room.tokenLeft(token);
      const room = LIMIT_SCOPES.map((scope) => capLeft(limits[scope], loads[scope]) ?? available);
      const heldNanoUsd = nanoUsd(Math.min(wantedNanoUsd, available, tokenLeft, ...room));
      const leaseUntilMs = nowMs + this.#leaseMs();
      const held = {
        requestId,
        keyId,
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
        caps: limits,
        tokens,
        leaseUntilMs,
        background: request.background,
        token,
      } as const;
      this.#store.insertRequest(held);
      this.#store.changeHeld(heldNanoUsd);
      if (token) this.#store.changeTokenUse(token.id, { spentNanoUsd: 0, heldNanoUsd }, nowMs);
      this.#traffic.admit(held);
      this.#wakeAt(leaseUntilMs);
      return this.#admitted(heldNanoUsd, request, nowMs);
    });
  }

  async resize({ requestId, wantedNanoUsd, tokens, answer }: ResizeRequest) {
    const nowMs = Date.now();
    return this.#commit(() => {
      const request = this.#store.request(requestId);
      if (request?.state !== 'held') return null;
      const tightest = this.#room.bound(request, nowMs);
      const heldNanoUsd = nanoUsd(Math.min(wantedNanoUsd, request.heldNanoUsd + tightest.leftNanoUsd));
      const after = { heldNanoUsd, tokens: tokens ?? request.tokens, leaseUntilMs: nowMs + this.#leaseMs() };
      if (answer) this.#store.keepHome(answer.conversation, answer, nowMs);
      this.#store.setHold(requestId, after);
      const more = heldNanoUsd - request.heldNanoUsd;
      this.#store.changeHeld(more);
      if (request.token)
        this.#store.changeTokenUse(request.token.id, { spentNanoUsd: 0, heldNanoUsd: more }, nowMs);
      this.#traffic.resize(request, after);
      return { heldNanoUsd, boundBy: heldNanoUsd < wantedNanoUsd ? tightest.by : null };
    });
  }

  async post(request: PostRequest): Promise<RequestRecord | null> {
    const { requestId, nodeId, usage, ending, ttftMs, conversation } = request;
    if (!isSound(usage)) throw new RangeError(`unsound usage for ${requestId}`);
    const nowMs = Date.now();
    return this.#commit(() => {
      if (conversation !== undefined) {
        this.#store.keepHome(conversation, { nodeId, promptTokens: usage.promptTokens }, nowMs);
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
      if (report.ended.some(({ ending }) => ending === null)) this.#wakeAt(nowMs + PROJECT_DELAY_MS);
      const lookMs = this.#leases.nextLookMs(nowMs);
      if (lookMs !== null) this.#wakeAt(lookMs);
      return grant;
    });
  }

  async reconcile(taken: readonly WalletReceipt[]): Promise<string[]> {
    const nowMs = Date.now();
    const parts = {
      store: this.#store,
      pages: this.#pages,
      receipts: this.#receipts,
      settlement: this.#settlement,
      leases: this.#leases,
    };
    return this.#commit(() => takeReceipts(parts, taken, nowMs));
  }

  async witnessed(requestId: string): Promise<boolean | null> {
    const request = this.#store.request(requestId);
    if (request) return this.#store.hasReceipt(requestId, request.nodeId);
    const place = this.#pages.find(requestId, Date.now());
    return place && proofOf(place) !== 'none';
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
    const nowMs = Date.now();
    return this.#commit(() => {
      const entry = this.#ledger.grant(grantId, amountNanoUsd, nowMs);
      this.#watcher.credited(this.#ledger.balance(), nowMs);
      return entry;
    });
  }

  async topUp({ orderId, amountNanoUsd }: { orderId: string; amountNanoUsd: NanoUsd }): Promise<Entry> {
    const nowMs = Date.now();
    return this.#commit(() => {
      const entry = this.#ledger.topUp(orderId, amountNanoUsd, nowMs);
      this.#watcher.credited(this.#ledger.balance(), nowMs);
      return entry;
    });
  }

  async correct({ reference, amountNanoUsd }: { reference: string; amountNanoUsd: NanoUsd }) {
    const nowMs = Date.now();
    return this.#commit(() => {
      const corrected = this.#ledger.correct(reference, amountNanoUsd, nowMs);
      this.#watcher.balance(this.#ledger.balance(), nowMs);
      return corrected;
    });
  }

  async balance(): Promise<Balance> {
    const { grantedNanoUsd, paidNanoUsd, heldNanoUsd, owedNanoUsd } = this.#store.head();
    const availableNanoUsd = this.#ledger.available();
    return { grantedNanoUsd, paidNanoUsd, heldNanoUsd, availableNanoUsd, owedNanoUsd };
  }

  async request(requestId: string): Promise<RequestRecord | null> {
    const request = this.#store.request(requestId);
    if (request) return publicRecord(request);
    const place = this.#pages.find(requestId, Date.now());
    return place && recordOf(place);
  }

  async givenBack(requestId: string): Promise<NanoUsd> {
    const entry = this.#store.entryOf('correction', requestId);
    return nanoUsd(entry === null ? 0 : entry.grantedNanoUsd + entry.paidNanoUsd);
  }

  async auditPage({ afterSeq, limit }: { afterSeq: number; limit: number }): Promise<WalletAuditPage> {
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

  async load({ keyId, capPeriod }: { keyId: string | null; capPeriod: CapPeriod }): Promise<Load> {
    const nowMs = Date.now();
    const spentNanoUsd = this.#store.spentSince(keyId, periodStartDay(capPeriod, nowMs));
    return { ...this.#traffic.load(keyId, nowMs), spentNanoUsd };
  }

  async rateLimit({ keyId, limits }: { keyId: string; limits: ScopedLimits }): Promise<RateLimitState> {
    const nowMs = Date.now();
    const load = (of: string | null) => ({ ...this.#traffic.load(of, nowMs), spentNanoUsd: nanoUsd(0) });
    return rateLimitState(limits, { key: load(keyId), account: load(null) });
  }

  async tokenUse(tokenId: string) {
    return this.#store.tokenUse(tokenId);
  }

  async setAlertThresholds(change: Partial<AlertThresholds>): Promise<void> {
    this.#commit(() => this.#watcher.change(change, this.#ledger.balance(), Date.now()));
  }

  /** Expires orphaned holds, tells D1 what happened, forgets what is a day old; then sleeps until there is more. */
  override async alarm(): Promise<void> {
    const nowMs = Date.now();
    this.#alarmAtMs = Number.POSITIVE_INFINITY;
    this.#retryAtMs = 0;
    try {
      this.#commit(() => {
        for (const request of this.#store.settleable(nowMs, this.#graceMs(), ORPHANS_PER_ALARM_MAX)) {
          this.#settlement.settleOrphan(request, nowMs);
        }
        this.#leases.expire(nowMs);
        this.#receipts.miss(nowMs);
      });
      await emptyOutbox(this.env, { store: this.#store, pages: this.#pages });
      if (nowMs - this.#trimmedAtMs > TRIM_EVERY_MS) {
        this.#trimmedAtMs = nowMs;
        this.#store.trim(nowMs - KEEP_ENDED_MS);
        this.#leaseStore.trim(nowMs - KEEP_ENDED_MS);
        this.#pages.trim(nowMs - KEEP_ENDED_MS);
        this.#replays.trim(nowMs - KEEP_REPLAYS_MS);
        this.#traffic.forgetIdle(nowMs);
      }
    } catch (error) {
      console.error(JSON.stringify({ event: 'wallet_alarm_failed', error: describeError(error) }));
      this.#retryAtMs = nowMs + PROJECT_RETRY_MS;
    } finally {
      this.#sleep(nowMs);
    }
  }

  #admitted(heldNanoUsd: NanoUsd, request: AdmitRequest, nowMs: number): AdmitResult {
    const { keyId, limits, conversation } = request;
    const rateLimit = rateLimitState(limits, this.#room.loads(keyId, limits, nowMs));
    const home =
      conversation === undefined ? null : (this.#homes.find(conversation) ?? this.#store.home(conversation));
    return { ok: true, heldNanoUsd, availableNanoUsd: this.#ledger.available(), rateLimit, home };
  }

  #refusal(
    { limits, tokens, token = null, hold: { leastNanoUsd } }: AdmitRequest,
    loads: ReturnType<Headroom['loads']>,
    availableNanoUsd: NanoUsd,
    nowMs: number,
  ): AdmitRefusal | null {
    return (
      limitRefusal(limits, loads, { leastNanoUsd, tokens }, nowMs) ??
      (availableNanoUsd < leastNanoUsd
        ? { reason: 'insufficient_balance', requiredNanoUsd: leastNanoUsd, availableNanoUsd }
        : tokenRefusal(token, this.#room.tokenLeft(token), leastNanoUsd))
    );
  }

  /** Nobody is refused for what isolates have set aside and not used: that comes back within a moment. */
  #onlySlackIsInTheWay(request: AdmitRequest, nowMs: number): boolean {
    const { slack } = this.#traffic;
    if (slack.requests === 0 && slack.nanoUsd === 0) return false;
    const loads = this.#room.loads(request.keyId, request.limits, nowMs, { slack: false });
    const available = nanoUsd(this.#ledger.available() + slack.nanoUsd);
    return this.#refusal(request, loads, available, nowMs) === null && this.#leases.press(nowMs);
  }

  /** Ends a held request once; later calls with the same id change nothing and return how it ended. */
  #end(requestId: string, end: HoldEnd, nowMs: number): RequestRecord | null {
    const request = this.#store.request(requestId);
    if (request === null) return null;
    return request.state === 'held' ? this.#settlement.resolve(request, end, nowMs) : publicRecord(request);
  }

  #tell(item: Published): void {
    this.#store.enqueue(item);
    this.#wakeAt(Math.max(Date.now() + PROJECT_DELAY_MS, this.#retryAtMs));
  }

  #wakeAt(atMs: number): void {
    if (atMs >= this.#alarmAtMs) return;
    this.#alarmAtMs = atMs;
    void this.ctx.storage.setAlarm(atMs);
  }

  /** Sets the alarm for whatever comes first: new items, the end of a lease or of a grace; after a failure, a retry. */
  #sleep(nowMs: number): void {
    // what failed is still due: anything sooner than the retry would be tried at once, again and again
    if (this.#retryAtMs > 0) {
      this.#wakeAt(this.#retryAtMs);
      return;
    }
    const soonMs = nowMs + PROJECT_DELAY_MS;
    if (this.#store.outbox(1).length > 0) this.#wakeAt(soonMs);
    const nextLookMs = this.#receipts.nextLookMs();
    if (nextLookMs !== null) this.#wakeAt(Math.max(soonMs, nextLookMs));
    if (this.#store.settleable(nowMs, this.#graceMs(), 1).length > 0) this.#wakeAt(soonMs);
    const leaseLookMs = this.#leases.nextLookMs(nowMs);
    if (leaseLookMs !== null) this.#wakeAt(Math.max(soonMs, leaseLookMs));
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

  /** One transaction. What was counted in memory for one that failed is counted again from what is stored. */
  #commit<T>(work: () => T): T {
    try {
      return this.ctx.storage.transactionSync(work);
    } catch (error) {
      this.#pages.forget();
      this.#countTraffic();
      throw error;
    }
  }

  #countTraffic(): void {
    const recent = (afterMs: number) =>
      [
        ...this.#store.recentRequests(afterMs),
        ...this.#pages.recent(afterMs).map((request) => ({ ...request, tokens: 0, background: false })),
      ].sort((a, b) => a.admittedAtMs - b.admittedAtMs);
    this.#traffic.reload({ recent, leases: this.#leaseStore.open() }, Date.now());
  }

  #graceMs(): number {
    return config(this.env).receiptGraceMs;
  }

  #leaseMs(): number {
    return config(this.env).holdLeaseMs;
  }
}

function tokenRefusal(token: TokenCap | null, leftNanoUsd: number, leastNanoUsd: NanoUsd) {
  if (token === null || leftNanoUsd >= leastNanoUsd) return null;
  const { capNanoUsd } = token;
  return { reason: 'token_cap_reached', capNanoUsd, usedNanoUsd: nanoUsd(capNanoUsd - leftNanoUsd) } as const;
}
