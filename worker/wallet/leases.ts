/**
 * Leases in the Wallet: takes isolates' reports, grants them credit and slack, and settles leases whose isolates are
 * lost. Calls run in the caller's transaction.
 */
import type { Ending } from '../domain/hold.ts';
import { timeOfId } from '../domain/ids.ts';
import {
  type Allotment,
  addAllotments,
  type Lease,
  type LeasedEnd,
  type LeaseGrant,
  type LeaseReport,
  limitsLeft,
  NO_ALLOTMENT,
  parseTicket,
  slackFor,
  subtractAllotments,
} from '../domain/lease.ts';
import { nanoUsd } from '../domain/money.ts';
import { chargeFor } from '../domain/pricing.ts';
import { isSound, NO_USAGE } from '../domain/usage.ts';
import type { WalletReceipt } from '../domain/wallet.ts';
import type { Affinity } from './affinity.ts';
import type { Headroom } from './headroom.ts';
import type { HeldRequest } from './held-request.ts';
import type { LeaseStore } from './lease-store.ts';
import type { Ledger } from './ledger.ts';
import type { LedgerStore } from './ledger-store.ts';
import { NOTHING_LEASED, type RateCounters } from './rate-counters.ts';
import { rateLimitState } from './rate-limit-state.ts';
import type { ReceiptStore } from './receipt-store.ts';
import type { RequestStore } from './request-store.ts';
import { type LeasedHoldEnd, provenBy, type WalletSettlement } from './settlement.ts';
import type { SettlementGroups } from './settlement-groups.ts';

/**
 * A live isolate reports several times within this time. Slack of one that is silent for longer is not worth waiting
 * for.
 */
const LIVE_MS = 2_000;
/** A request is over by this age, even if the clock that made its id differs from this one. */
const YOUNG_MS = 3 * 3_600_000;
/** After a request waited for slack, none is granted for this long, so that the next request need not wait. */
const CONTENDED_MS = 5_000;

interface LeasesDeps {
  readonly requestStore: RequestStore;
  readonly ledgerStore: LedgerStore;
  readonly leaseStore: LeaseStore;
  readonly receiptStore: ReceiptStore;
  readonly groups: SettlementGroups;
  readonly affinity: Affinity;
  readonly ledger: Ledger;
  readonly headroom: Headroom;
  readonly rateCounters: RateCounters;
  readonly settlement: WalletSettlement;
  /** How long an isolate may be silent before its lease is settled from the nodes' receipts. */
  readonly leaseMs: () => number;
  /** How long an expired lease waits for receipts. */
  readonly graceMs: () => number;
}

export class Leases {
  readonly #deps: LeasesDeps;
  /** When each lease was last reported, by lease id. */
  readonly #reportedMs = new Map<string, number>();
  /** When any lease was last reported. */
  #lastReportMs = 0;
  #contendedAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: LeasesDeps) {
    this.#deps = deps;
  }

  /**
   * Settles the requests that the report says have ended, then grants the credit and slack that it asks for. A repeated or
   * late report is harmless.
   */
  report(report: LeaseReport, nowMs: number): LeaseGrant {
    const { headroom, leaseStore, affinity } = this.#deps;
    const { leaseId, terms, seq } = report;
    this.#lastReportMs = nowMs;
    this.#reportedMs.set(leaseId, nowMs);
    const before = leaseStore.find(leaseId) ?? this.#begin(report, nowMs);
    const settled = this.#settle(before, report, nowMs);

    const isNew = settled.endedAtMs === null && seq > settled.seq;
    const grant = isNew ? this.#grant(settled, report, nowMs) : NOTHING_GRANTED;
    if (!isNew && settled !== before) leaseStore.put(settled);
    const open = settled.endedAtMs === null && !isOver(report);
    if (!open) this.#reportedMs.delete(leaseId);
    const { keyId, limits: caps } = terms;
    const loads = headroom.loads(keyId, caps, nowMs);
    const { leftNanoUsd } = headroom.bound({ keyId, caps, token: null }, nowMs, loads);
    return {
      open,
      ...grant,
      contended: this.#isContended(nowMs),
      availableNanoUsd: nanoUsd(leftNanoUsd),
      rateLimit: rateLimitState(caps, loads),
      ...affinity.since(report.affinitiesSeen, leaseId),
    };
  }

  /** Whether the isolate of the receipt's lease reported lately, so that its report of the request may still come. */
  willReport(receipt: WalletReceipt, nowMs: number): boolean {
    const ticket = parseTicket(receipt.ticket);
    const reportedMs = ticket && this.#reportedMs.get(ticket.leaseId);
    // A node that was away for long brings receipts of requests that were reported and forgotten. They must not wait
    // forever.
    const isYoung = Math.abs(nowMs - timeOfId(receipt.requestId)) < YOUNG_MS;
    return isYoung && typeof reportedMs === 'number' && Math.abs(nowMs - reportedMs) < LIVE_MS;
  }

  /**
   * Asks isolates to return their slack: for a while none is granted, and grants say so.
   * @returns false: no isolate has reported lately, so waiting for slack is pointless
   */
  reclaimSlack(nowMs: number): boolean {
    if (Math.abs(nowMs - this.#lastReportMs) > LIVE_MS) return false;
    this.#contendedAtMs = nowMs;
    return true;
  }

  /** Settles the receipt's request if its lease is over. @returns whether the receipt belongs to a lease of this Wallet */
  takeReceipt(receipt: WalletReceipt, nowMs: number): boolean {
    const ticket = parseTicket(receipt.ticket);
    const lease = ticket && this.#deps.leaseStore.find(ticket.leaseId);
    if (!lease) return false;
    // While the lease lives, its isolate reports how the request ended, or `expire` settles it when the lease expires.
    const isOver = lease.endedAtMs !== null;
    if (isOver || nowMs > lease.expiresAtMs)
      this.#settleByReceipts(lease, [receipt], { isLast: isOver }, nowMs);
    return true;
  }

  /**
   * Settles the leases of lost isolates from nodes' receipts. Credit whose use no receipt has proved by the end of the grace
   * is released.
   */
  expire(nowMs: number): void {
    const { leaseStore, receiptStore, graceMs } = this.#deps;
    for (const lease of leaseStore.open()) {
      if (nowMs <= lease.expiresAtMs) continue;
      this.#reportedMs.delete(lease.leaseId);
      const isLast = nowMs > lease.expiresAtMs + graceMs();
      // Its isolate is lost, so no request will be admitted from the slack.
      const withoutSlack = this.#changeAllotment(lease, { ...lease, slack: NO_ALLOTMENT });
      leaseStore.put(withoutSlack);
      const receipts = receiptStore.unsettledOfLease(lease.leaseId);
      const left = this.#settleByReceipts(withoutSlack, receipts, { isLast }, nowMs);
      if (isLast)
        leaseStore.put(this.#changeAllotment(left, { ...left, ...NOTHING_LEASED, endedAtMs: nowMs }));
    }
  }

  /** When `expire` has something to do next; null: no lease is open. */
  nextExpiryMs(nowMs: number): number | null {
    const { leaseStore, graceMs } = this.#deps;
    const times = leaseStore
      .open()
      .map(({ expiresAtMs }) => (nowMs <= expiresAtMs ? expiresAtMs : expiresAtMs + graceMs()) + 1);
    return times.length === 0 ? null : Math.min(...times);
  }

  #begin({ leaseId, terms }: LeaseReport, nowMs: number): Lease {
    const expiresAtMs = nowMs + this.#deps.leaseMs();
    const counts = { seq: 0, admitted: 0, reported: 0, settledByReceipts: false };
    return { leaseId, terms, ...counts, ...NOTHING_LEASED, expiresAtMs, endedAtMs: null };
  }

  /** Sets aside credit for what runs, then for the growth of running holds, then, of what is left, for slack. */
  #grant(lease: Lease, report: LeaseReport, nowMs: number): Pick<LeaseGrant, 'grown' | 'boundBy' | 'slack'> {
    const { leaseStore, ledger, headroom, rateCounters, leaseMs } = this.#deps;
    const { terms, needs, keptSlack, seq, admitted } = report;
    const { keyId, limits } = terms;
    rateCounters.admitted(keyId, admitted - lease.admitted, nowMs);
    const used = addAllotments(report.running, keptSlack);
    // The credit that the isolate reports as used was granted to it, so it is there. More than lease and balance cover is
    // never set aside.
    const allottedNanoUsd = Math.min(used.nanoUsd, lease.allotment.nanoUsd + ledger.available());
    const base = this.#changeAllotment(lease, {
      ...lease,
      ...{ seq, admitted: Math.max(admitted, lease.admitted) },
      allotment: { ...used, nanoUsd: nanoUsd(allottedNanoUsd) },
      slack: keptSlack,
      expiresAtMs: nowMs + leaseMs(),
      endedAtMs: isOver(report) ? nowMs : null,
    });

    const tightest = headroom.bound({ keyId, caps: limits, token: null }, nowMs);
    const grown = {
      nanoUsd: nanoUsd(Math.max(0, Math.min(needs.nanoUsd, tightest.leftNanoUsd))),
      tokens: needs.tokens,
    };
    const left = {
      ...limitsLeft(limits, headroom.loads(keyId, limits, nowMs)),
      nanoUsd: tightest.leftNanoUsd - grown.nanoUsd,
    };
    const slack = this.#isContended(nowMs) ? NO_ALLOTMENT : slackFor(report.wantedSlack, left);
    const allotment = addAllotments(addAllotments(base.allotment, { requests: 0, ...grown }), slack);
    leaseStore.put(
      this.#changeAllotment(base, { ...base, allotment, slack: addAllotments(keptSlack, slack) }),
    );
    return { grown, slack, boundBy: grown.nanoUsd < needs.nanoUsd ? tightest.reason : null };
  }

  /** Settles the requests whose ends no earlier report carried: each one's hold is charged or returned to the lease. */
  #settle(lease: Lease, { ended, reportedBefore }: LeaseReport, nowMs: number): Lease {
    const { groups, affinity } = this.#deps;
    const { leaseId } = lease;
    const newEnds = ended.slice(Math.max(0, lease.reported - reportedBefore));
    if (newEnds.length === 0) return lease;
    for (const { conversation, nodeId, usage } of newEnds)
      if (conversation !== undefined && nodeId !== null && usage !== null)
        affinity.keep({ conversation, nodeId, promptTokens: usage.promptTokens }, leaseId, nowMs);
    const unsettled = lease.settledByReceipts
      ? newEnds.filter(({ requestId }) => groups.find(requestId, nowMs) === null)
      : newEnds;
    const reported = { ...lease, reported: Math.max(lease.reported, reportedBefore + ended.length) };
    const left = unsettled
      .filter(({ ending }) => ending === null)
      .reduce((remaining, end) => this.#makeOwnHold(remaining, end, nowMs), reported);
    const holds = unsettled.flatMap((end) => (end.ending === null ? [] : [holdOf(end, end.ending, nowMs)]));
    return this.#settleHolds(left, holds, nowMs);
  }

  /**
   * Turns a request's part of the lease into an expired hold of its own. The isolate has lost track of the request, so the
   * node's receipt decides how it ended.
   */
  #makeOwnHold(
    lease: Lease,
    { requestId, stream, admittedAgoMs, heldNanoUsd }: LeasedEnd,
    nowMs: number,
  ): Lease {
    const { requestStore, ledgerStore, ledger, rateCounters } = this.#deps;
    const { keyId, modelId, price, limits } = lease.terms;
    const ownNanoUsd = nanoUsd(Math.min(heldNanoUsd, lease.allotment.nanoUsd + ledger.available()));
    const fromLeaseNanoUsd = Math.min(ownNanoUsd, lease.allotment.nanoUsd);
    const held: HeldRequest = {
      requestId,
      keyId,
      modelId,
      stream,
      price,
      caps: limits,
      state: 'held',
      ending: null,
      nodeId: null,
      admittedAtMs: nowMs - Math.max(0, admittedAgoMs),
      endedAtMs: null,
      holdExpiresAtMs: nowMs,
      heldNanoUsd: ownNanoUsd,
      usage: NO_USAGE,
      chargeNanoUsd: nanoUsd(0),
      entrySeq: null,
      ttftMs: null,
      tokens: 0,
      background: false,
      token: null,
      conversation: null,
    };
    requestStore.insert(held);
    ledgerStore.changeHeld(ownNanoUsd - fromLeaseNanoUsd);
    rateCounters.admit(held);
    const allotment = { ...lease.allotment, nanoUsd: nanoUsd(lease.allotment.nanoUsd - fromLeaseNanoUsd) };
    const after = { ...lease, allotment };
    rateCounters.lease(payerOf(lease), lease, after);
    return after;
  }

  /** Settles requests of a lost isolate from their receipts. @returns the lease without what was charged to it */
  #settleByReceipts(
    lease: Lease,
    receipts: readonly WalletReceipt[],
    { isLast }: { isLast: boolean },
    nowMs: number,
  ): Lease {
    const { requestStore, groups, leaseStore, rateCounters } = this.#deps;
    const holds: LeasedHoldEnd[] = [];
    for (const [requestId, own] of Map.groupBy(receipts, (receipt) => receipt.requestId)) {
      if (groups.find(requestId, nowMs) !== null || requestStore.find(requestId) !== null) continue;
      const stream = parseTicket(own[0]!.ticket)!.stream;
      // A lease cannot have more proven requests than it admitted.
      const isOpen = lease.endedAtMs === null && holds.length < lease.allotment.requests;
      const proof = isOpen ? provenBy(own, { stream, background: false }) : null;
      // Until the grace is over, another node's receipt may still prove output.
      if (proof === null && !isLast) continue;
      // The admission was never reported, but the request's id was made at that time.
      const request = { requestId, stream, admittedAtMs: timeOfId(requestId), state: 'expired' as const };
      holds.push(
        proof
          ? {
              ...request,
              ending: 'settled_by_receipt',
              nodeId: proof.nodeId,
              usage: proof.usage,
              ttftMs: proof.ttftMs,
              heldNanoUsd: nanoUsd(
                Math.min(chargeFor(proof.usage, lease.terms.price), lease.allotment.nanoUsd),
              ),
            }
          : {
              ...request,
              ending: 'unproved',
              nodeId: null,
              usage: NO_USAGE,
              ttftMs: null,
              heldNanoUsd: nanoUsd(0),
            },
      );
    }
    if (holds.length === 0) return lease;
    const remaining = this.#settleHolds({ ...lease, settledByReceipts: true }, holds, nowMs, {
      fromBalanceNanoUsdMax: 0,
    });
    const requests = Math.max(0, remaining.allotment.requests - holds.length);
    const tokens = Math.floor(
      (remaining.allotment.tokens * requests) / Math.max(1, remaining.allotment.requests),
    );
    const left = { ...remaining, allotment: { ...remaining.allotment, requests, tokens } };
    rateCounters.lease(payerOf(lease), remaining, left);
    leaseStore.put(left);
    return left;
  }

  /**
   * Takes the holds of requests out of the lease and settles them. A lease that has expired has nothing left for requests
   * that its isolate reports late, so those are charged to the available balance, as far as that goes.
   */
  #settleHolds(
    lease: Lease,
    holds: readonly LeasedHoldEnd[],
    nowMs: number,
    { fromBalanceNanoUsdMax = this.#deps.ledger.available() as number } = {},
  ): Lease {
    if (holds.length === 0) return lease;
    let left = lease.allotment.nanoUsd + fromBalanceNanoUsdMax;
    const covered = holds.map((hold) => {
      const heldNanoUsd = nanoUsd(Math.min(hold.heldNanoUsd, left));
      left -= heldNanoUsd;
      return { ...hold, heldNanoUsd };
    });
    const heldNanoUsd = covered.reduce((sum, each) => sum + each.heldNanoUsd, 0);
    const fromLeaseNanoUsd = nanoUsd(Math.min(heldNanoUsd, lease.allotment.nanoUsd));
    this.#deps.settlement.resolveTogether(lease, covered, fromLeaseNanoUsd, nowMs);
    const allotment = { ...lease.allotment, nanoUsd: nanoUsd(lease.allotment.nanoUsd - fromLeaseNanoUsd) };
    const after = { ...lease, allotment };
    this.#deps.rateCounters.lease(payerOf(lease), lease, after);
    return after;
  }

  /** Changes a lease's allotment, and with it the held credit and the rate counters. The caller stores the lease. */
  #changeAllotment(before: Lease, after: Lease): Lease {
    const { ledgerStore, rateCounters } = this.#deps;
    const more = subtractAllotments(after.allotment, before.allotment);
    if (more.nanoUsd !== 0) ledgerStore.changeHeld(more.nanoUsd);
    rateCounters.lease(payerOf(after), before, after);
    return after;
  }

  #isContended(nowMs: number): boolean {
    return Math.abs(nowMs - this.#contendedAtMs) < CONTENDED_MS;
  }
}

/** The key of a lease, with the caps that its credit counts against. */
function payerOf({ terms: { keyId, limits } }: Pick<Lease, 'terms'>) {
  return { keyId, caps: limits };
}

const NOTHING_GRANTED = {
  grown: { nanoUsd: nanoUsd(0), tokens: 0 },
  boundBy: null,
  slack: NO_ALLOTMENT,
} as const;

/** Whether the isolate gives the lease back: nothing runs and nothing is wanted. */
function isOver({ running, keptSlack, needs, wantedSlack }: LeaseReport): boolean {
  return [running, keptSlack, wantedSlack].every(isNothing) && needs.nanoUsd === 0 && needs.tokens === 0;
}

function isNothing({ requests, nanoUsd: nano, tokens }: Allotment): boolean {
  return requests === 0 && nano === 0 && tokens === 0;
}

function holdOf(end: LeasedEnd, ending: Ending, nowMs: number): LeasedHoldEnd {
  const { requestId, stream, heldNanoUsd, nodeId, ttftMs, admittedAgoMs } = end;
  const usage = end.usage ?? NO_USAGE;
  if (!isSound(usage)) throw new RangeError(`unsound usage for ${requestId}`);
  const state = end.usage === null ? 'voided' : 'posted';
  const admittedAtMs = nowMs - Math.max(0, admittedAgoMs);
  return { requestId, stream, admittedAtMs, heldNanoUsd, state, ending, nodeId, usage, ttftMs };
}
