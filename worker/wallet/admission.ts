/**
 * Admission: checks a request against balance, limits and caps, and places its hold in the same transaction, so nothing
 * can come between the check and the hold. Calls run in the caller's transaction.
 */
import { capLeft, capsOf, firstRefusal, heldRefusal, type Loads, limitRefusal } from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import { NO_USAGE } from '../domain/usage.ts';
import type {
  AdmitRefusal,
  AdmitRequest,
  AdmitResult,
  ResizeRequest,
  TokenCap,
  WalletApi,
} from '../domain/wallet.ts';
import type { Affinity } from './affinity.ts';
import type { Headroom } from './headroom.ts';
import type { HeldRequest } from './held-request.ts';
import type { Leases } from './leases.ts';
import type { Ledger } from './ledger.ts';
import type { LedgerStore } from './ledger-store.ts';
import type { RateCounters } from './rate-counters.ts';
import { rateLimitState } from './rate-limit-state.ts';
import type { RequestStore } from './request-store.ts';
import type { SpendStore } from './spend-store.ts';
import type { WalletStore } from './store.ts';
import type { ThresholdAlerts } from './threshold-alerts.ts';

type ResizeResult = Awaited<ReturnType<WalletApi['resize']>>;

/** Isolates report several times a second, so within this time each has been told to return its slack. */
const SLACK_RETURNS_MS = 300;
/** A hold shrinks when its answer's first token shows the real prompt, and ends with it. */
const HOLDS_RETURN_MS = 300;

interface AdmissionDeps {
  readonly store: WalletStore;
  readonly spendStore: SpendStore;
  readonly requestStore: RequestStore;
  readonly ledgerStore: LedgerStore;
  readonly ledger: Ledger;
  readonly headroom: Headroom;
  readonly rateCounters: RateCounters;
  readonly leases: Leases;
  readonly affinity: Affinity;
  readonly alerts: ThresholdAlerts;
  /** How long a hold lasts without renewal. */
  readonly holdMs: () => number;
  readonly wakeAt: (atMs: number) => void;
}

export class WalletAdmission {
  readonly #deps: AdmissionDeps;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  /** Admits a request with a hold, or refuses it. Idempotent by request id. */
  admit(request: AdmitRequest, nowMs: number): AdmitResult {
    const { requestStore, spendStore, ledger, headroom, alerts } = this.#deps;
    const { keyId, limits } = request;
    const known = requestStore.find(request.requestId);
    if (known) return this.#admitted(known.heldNanoUsd, request, nowMs);

    const loads = headroom.loads(keyId, limits, nowMs);
    const available = ledger.available();
    const refusal = this.#refusal(request, loads, available, nowMs);
    if (refusal) {
      const spentSince = (capKeyId: string | null, day: number) => spendStore.since(capKeyId, day);
      alerts.refused({ keyId, caps: limits, refusal }, spentSince, nowMs);
      const retryInMs = this.#reclaimIfOnlySlack(request, nowMs)
        ? SLACK_RETURNS_MS
        : refusal.reason === 'held_by_requests'
          ? HOLDS_RETURN_MS
          : null;
      return { ok: false, refusal, rateLimit: rateLimitState(limits, loads), retryInMs };
    }

    const { wantedNanoUsd } = request.hold;
    const tokenLeft = headroom.tokenLeft(request.token ?? null);
    const capsLeft = capsOf(limits, loads).map(({ cap, use }) => capLeft(cap, use) ?? available);
    const heldNanoUsd = nanoUsd(Math.min(wantedNanoUsd, available, tokenLeft, ...capsLeft));
    this.#hold(request, heldNanoUsd, nowMs);
    return this.#admitted(heldNanoUsd, request, nowMs);
  }

  /** Changes the size of a hold, as far as balance and caps allow, and renews it. */
  resize({ requestId, wantedNanoUsd, tokens, answer }: ResizeRequest, nowMs: number): ResizeResult {
    const { store, requestStore, ledgerStore, headroom, rateCounters, affinity, holdMs } = this.#deps;
    const request = requestStore.find(requestId);
    if (request?.state !== 'held') return null;
    const tightest = headroom.bound(request, nowMs);
    const heldNanoUsd = nanoUsd(Math.min(wantedNanoUsd, request.heldNanoUsd + tightest.leftNanoUsd));
    const after = { heldNanoUsd, tokens: tokens ?? request.tokens, holdExpiresAtMs: nowMs + holdMs() };
    if (answer) affinity.keep(answer, null, nowMs);
    requestStore.setHold(request, after);
    const more = heldNanoUsd - request.heldNanoUsd;
    ledgerStore.changeHeld(more);
    if (request.token) store.changeTokenUse(request.token.id, { spentNanoUsd: 0, heldNanoUsd: more }, nowMs);
    rateCounters.resize(request, after);
    return { heldNanoUsd, boundBy: heldNanoUsd < wantedNanoUsd ? tightest.reason : null };
  }

  #hold(request: AdmitRequest, heldNanoUsd: NanoUsd, nowMs: number): void {
    const { store, requestStore, ledgerStore, rateCounters, holdMs, wakeAt } = this.#deps;
    const token = request.token ?? null;
    const holdExpiresAtMs = nowMs + holdMs();
    const held: HeldRequest = {
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
      caps: request.limits,
      tokens: request.tokens,
      holdExpiresAtMs,
      background: request.background,
      token,
      conversation: request.conversation ?? null,
    };
    requestStore.insert(held);
    ledgerStore.changeHeld(heldNanoUsd);
    if (token) store.changeTokenUse(token.id, { spentNanoUsd: 0, heldNanoUsd }, nowMs);
    rateCounters.admit(held);
    wakeAt(holdExpiresAtMs);
  }

  #admitted(heldNanoUsd: NanoUsd, request: AdmitRequest, nowMs: number): AdmitResult {
    const { store, headroom, affinity } = this.#deps;
    const { keyId, limits, conversation, token = null } = request;
    const loads = headroom.loads(keyId, limits, nowMs);
    const { leftNanoUsd } = headroom.bound({ keyId, caps: limits, token }, nowMs, loads);
    const rateLimit = rateLimitState(limits, loads);
    const home =
      conversation === undefined ? null : (affinity.find(conversation) ?? store.home(conversation));
    return { ok: true, heldNanoUsd, availableNanoUsd: nanoUsd(leftNanoUsd), rateLimit, home };
  }

  #refusal(
    { limits, tokens, token = null, hold: { leastNanoUsd } }: AdmitRequest,
    loads: Loads,
    availableNanoUsd: NanoUsd,
    nowMs: number,
  ): AdmitRefusal | null {
    return firstRefusal<AdmitRefusal>([
      limitRefusal(limits, loads, { leastNanoUsd, tokens }, nowMs),
      this.#balanceRefusal(availableNanoUsd, leastNanoUsd),
      this.#tokenRefusal(token, leastNanoUsd),
    ]);
  }

  #balanceRefusal(availableNanoUsd: NanoUsd, leastNanoUsd: NanoUsd): AdmitRefusal | null {
    if (availableNanoUsd >= leastNanoUsd) return null;
    const limitNanoUsd = this.#deps.ledger.balance();
    const use = { spentNanoUsd: nanoUsd(0), heldNanoUsd: nanoUsd(limitNanoUsd - availableNanoUsd) };
    return (
      heldRefusal('insufficient_balance', { limitNanoUsd, ...use }, leastNanoUsd) ?? {
        ...{ reason: 'insufficient_balance', requiredNanoUsd: leastNanoUsd, availableNanoUsd },
      }
    );
  }

  #tokenRefusal(token: TokenCap | null, leastNanoUsd: NanoUsd): AdmitRefusal | null {
    if (token === null) return null;
    const { capNanoUsd } = token;
    const leftNanoUsd = this.#deps.headroom.tokenLeft(token);
    if (leftNanoUsd >= leastNanoUsd) return null;
    const use = this.#deps.store.tokenUse(token.id);
    return (
      heldRefusal('token_cap_reached', { limitNanoUsd: capNanoUsd, ...use }, leastNanoUsd) ?? {
        ...{ reason: 'token_cap_reached', capNanoUsd, usedNanoUsd: nanoUsd(capNanoUsd - leftNanoUsd) },
      }
    );
  }

  /**
   * Asks isolates to return their unused slack, if only that keeps the request out.
   * @returns whether they were asked: they return it within SLACK_RETURNS_MS, and the request should then be tried again
   */
  #reclaimIfOnlySlack(request: AdmitRequest, nowMs: number): boolean {
    const { ledger, headroom, rateCounters, leases } = this.#deps;
    const { slack } = rateCounters;
    if (slack.requests === 0 && slack.nanoUsd === 0) return false;
    const loads = headroom.loads(request.keyId, request.limits, nowMs, { slack: false });
    const available = nanoUsd(ledger.available() + slack.nanoUsd);
    return this.#refusal(request, loads, available, nowMs) === null && leases.reclaimSlack(nowMs);
  }
}
