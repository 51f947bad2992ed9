/**
 * Leases in the Wallet: what isolates say of them, what they are given, and what becomes of one whose isolate is lost.
 * Every call runs in the caller's transaction.
 */
import type { Ending } from '../domain/hold.ts';
import { timeOfId } from '../domain/ids.ts';
import {
  type Allotment,
  type Lease,
  type LeasedEnd,
  type LeaseGrant,
  type LeaseReport,
  limitsLeft,
  minus,
  NO_ALLOTMENT,
  plus,
  readTicket,
  slackFor,
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
import { NOTHING_LEASED, type RateCounters } from './rate-counters.ts';
import { rateLimitState } from './rate-limit-state.ts';
import { type LeasedHold, provenBy, type Settlement } from './settlement.ts';
import type { SettlementGroups } from './settlement-groups.ts';
import type { WalletStore } from './store.ts';

/** An isolate that lives reports several times within it: the slack of one that does not is not worth waiting for. */
const LIVE_MS = 2_000;
/** No answer takes longer, and clocks that make ids may differ. */
const YOUNG_MS = 3 * 3_600_000;
/** After somebody had to wait for slack there is none, so that nobody else has to. */
const PRESSED_MS = 5_000;

interface Parts {
  readonly store: WalletStore;
  readonly leases: LeaseStore;
  readonly pages: SettlementGroups;
  readonly homes: Affinity;
  readonly ledger: Ledger;
  readonly room: Headroom;
  readonly traffic: RateCounters;
  readonly settlement: Settlement;
  /** how long an isolate may be silent before its lease belongs to the nodes' receipts */
  readonly leaseMs: () => number;
  /** how long a receipt is waited for */
  readonly graceMs: () => number;
}

export class Leases {
  readonly #parts: Parts;
  /** when each was last heard of */
  readonly #heardMs = new Map<string, number>();
  #reportedAtMs = 0;
  #pressedAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  report(report: LeaseReport, nowMs: number): LeaseGrant {
    const { ledger, room, leases, homes } = this.#parts;
    const { leaseId, terms, seq } = report;
    this.#reportedAtMs = nowMs;
    this.#heardMs.set(leaseId, nowMs);
    const before = leases.find(leaseId) ?? this.#begin(report, nowMs);
    const settled = this.#settle(before, report, nowMs);

    const isNews = settled.endedAtMs === null && seq > settled.seq;
    const grant = isNews ? this.#grant(settled, report, nowMs) : NOTHING_GRANTED;
    if (!isNews && settled !== before) leases.put(settled);
    const open = settled.endedAtMs === null && !isOver(report);
    if (!open) this.#heardMs.delete(leaseId);
    const loads = room.loads(terms.keyId, terms.limits, nowMs);
    return {
      open,
      ...grant,
      pressed: this.#isPressed(nowMs),
      availableNanoUsd: ledger.available(),
      rateLimit: rateLimitState(terms.limits, loads),
      ...homes.since(report.homesSeen, leaseId),
    };
  }

  /** Whether the receipt is of a request of which a living isolate has yet to tell. */
  willTell(receipt: WalletReceipt, nowMs: number): boolean {
    const ticket = readTicket(receipt.ticket);
    const heardMs = ticket && this.#heardMs.get(ticket.leaseId);
    // a node that was away for long brings receipts that everybody has forgotten: they must not wait for ever
    const isYoung = Math.abs(nowMs - timeOfId(receipt.requestId)) < YOUNG_MS;
    return isYoung && typeof heardMs === 'number' && Math.abs(nowMs - heardMs) < LIVE_MS;
  }

  /** Whether it is worth waiting for slack that others have; from now on it is given to nobody for a while. */
  press(nowMs: number): boolean {
    if (Math.abs(nowMs - this.#reportedAtMs) > LIVE_MS) return false;
    this.#pressedAtMs = nowMs;
    return true;
  }

  /** @returns whether the receipt is of a lease, which then sees to it */
  takeReceipt(receipt: WalletReceipt, nowMs: number): boolean {
    const ticket = readTicket(receipt.ticket);
    const lease = ticket && this.#parts.leases.find(ticket.leaseId);
    if (!lease) return false;
    // else its isolate tells how the request ended, or its end is settled when the lease runs out
    const isOver = lease.endedAtMs !== null;
    if (isOver || nowMs > lease.untilMs) this.#settleByReceipts(lease, [receipt], { isLast: isOver }, nowMs);
    return true;
  }

  /** Settles what lost isolates have left by what nodes say; what nobody has proved by the end of the grace is free again. */
  expire(nowMs: number): void {
    const { leases, graceMs } = this.#parts;
    for (const lease of leases.open()) {
      if (nowMs <= lease.untilMs) continue;
      this.#heardMs.delete(lease.leaseId);
      const isLast = nowMs > lease.untilMs + graceMs();
      // nobody is left who could admit from it, or give it back
      const dead = this.#move(lease, { ...lease, slack: NO_ALLOTMENT });
      leases.put(dead);
      const left = this.#settleByReceipts(dead, leases.receiptsOf(lease.leaseId), { isLast }, nowMs);
      if (isLast) leases.put(this.#move(left, { ...left, ...NOTHING_LEASED, endedAtMs: nowMs }));
    }
  }

  /** When there is something to do for `expire`; null: no lease is open. */
  nextLookMs(nowMs: number): number | null {
    const { leases, graceMs } = this.#parts;
    const times = leases.open().map(({ untilMs }) => (nowMs <= untilMs ? untilMs : untilMs + graceMs()) + 1);
    return times.length === 0 ? null : Math.min(...times);
  }

  #begin({ leaseId, terms }: LeaseReport, nowMs: number): Lease {
    const untilMs = nowMs + this.#parts.leaseMs();
    const counts = { seq: 0, admitted: 0, told: 0, doubtful: false };
    return { leaseId, terms, ...counts, ...NOTHING_LEASED, untilMs, endedAtMs: null };
  }

  /** Sets aside what runs, then what a running request needs, then what others leave as slack. */
  #grant(lease: Lease, report: LeaseReport, nowMs: number): Pick<LeaseGrant, 'grown' | 'boundBy' | 'slack'> {
    const { leases, ledger, room, traffic, leaseMs } = this.#parts;
    const { terms, needs, kept, seq, admitted } = report;
    const { keyId, limits } = terms;
    traffic.admitted(keyId, admitted - lease.admitted, nowMs);
    const used = plus(report.running, kept);
    // what an isolate says it has was given to it, so it is there; more than that is never promised
    const nano = Math.min(used.nanoUsd, lease.share.nanoUsd + ledger.available());
    const base = this.#move(lease, {
      ...lease,
      ...{ seq, admitted: Math.max(admitted, lease.admitted) },
      share: { ...used, nanoUsd: nanoUsd(nano) },
      slack: kept,
      untilMs: nowMs + leaseMs(),
      endedAtMs: isOver(report) ? nowMs : null,
    });

    const tightest = room.bound({ keyId, caps: limits, token: null }, nowMs);
    const grown = {
      nanoUsd: nanoUsd(Math.max(0, Math.min(needs.nanoUsd, tightest.leftNanoUsd))),
      tokens: needs.tokens,
    };
    const left = {
      ...limitsLeft(limits, room.loads(keyId, limits, nowMs)),
      nanoUsd: tightest.leftNanoUsd - grown.nanoUsd,
    };
    const slack = this.#isPressed(nowMs) ? NO_ALLOTMENT : slackFor(report.wants, left);
    const share = plus(plus(base.share, { requests: 0, ...grown }), slack);
    leases.put(this.#move(base, { ...base, share, slack: plus(kept, slack) }));
    return { grown, slack, boundBy: grown.nanoUsd < needs.nanoUsd ? tightest.by : null };
  }

  /** Of what has ended and was not told before, each has its part of the lease charged or given back. */
  #settle(lease: Lease, { ended, toldBefore }: LeaseReport, nowMs: number): Lease {
    const { pages, homes } = this.#parts;
    const { leaseId } = lease;
    const untold = ended.slice(Math.max(0, lease.told - toldBefore));
    if (untold.length === 0) return lease;
    for (const { conversation, nodeId, usage } of untold)
      if (conversation !== undefined && nodeId !== null && usage !== null)
        homes.keep({ conversation, nodeId, promptTokens: usage.promptTokens }, leaseId);
    const fresh = lease.doubtful
      ? untold.filter(({ requestId }) => pages.find(requestId, nowMs) === null)
      : untold;
    const told = { ...lease, told: Math.max(lease.told, toldBefore + ended.length) };
    const left = fresh
      .filter(({ ending }) => ending === null)
      .reduce((of, end) => this.#part(of, end, nowMs), told);
    const holds = fresh.flatMap((end) => (end.ending === null ? [] : [holdOf(end, end.ending, nowMs)]));
    return this.#draw(left, holds, nowMs);
  }

  /** Its part of the lease becomes a hold of its own, of which nobody has been heard for too long. */
  #part(lease: Lease, { requestId, stream, admittedAgoMs, heldNanoUsd }: LeasedEnd, nowMs: number): Lease {
    const { store, ledger, traffic } = this.#parts;
    const { keyId, modelId, price, limits } = lease.terms;
    const own = nanoUsd(Math.min(heldNanoUsd, lease.share.nanoUsd + ledger.available()));
    const fromLeaseNanoUsd = Math.min(own, lease.share.nanoUsd);
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
      leaseUntilMs: nowMs,
      heldNanoUsd: own,
      usage: NO_USAGE,
      chargeNanoUsd: nanoUsd(0),
      entrySeq: null,
      ttftMs: null,
      tokens: 0,
      background: false,
      token: null,
    };
    store.insertRequest(held);
    store.changeHeld(own - fromLeaseNanoUsd);
    traffic.admit(held);
    const share = { ...lease.share, nanoUsd: nanoUsd(lease.share.nanoUsd - fromLeaseNanoUsd) };
    const after = { ...lease, share };
    traffic.lease(keyId, lease, after);
    return after;
  }

  /** @returns the lease without what was charged of it */
  #settleByReceipts(
    lease: Lease,
    receipts: readonly WalletReceipt[],
    { isLast }: { isLast: boolean },
    nowMs: number,
  ): Lease {
    const { store, pages, leases, traffic } = this.#parts;
    const holds: LeasedHold[] = [];
    for (const [requestId, own] of Map.groupBy(receipts, (receipt) => receipt.requestId)) {
      if (pages.find(requestId, nowMs) !== null || store.request(requestId) !== null) continue;
      const stream = readTicket(own[0]!.ticket)!.stream;
      // more than it admitted nobody can prove
      const isOpen = lease.endedAtMs === null && holds.length < lease.share.requests;
      const proof = isOpen ? provenBy(own, { stream, background: false }) : null;
      // another node's receipt may show more, as long as there is time for it
      if (proof === null && !isLast) continue;
      // nobody has told when it was admitted, but its id was made at that time
      const request = { requestId, stream, admittedAtMs: timeOfId(requestId), state: 'expired' as const };
      holds.push(
        proof
          ? {
              ...request,
              ending: 'settled_by_receipt',
              nodeId: proof.nodeId,
              usage: proof.usage,
              ttftMs: proof.ttftMs,
              heldNanoUsd: nanoUsd(Math.min(chargeFor(proof.usage, lease.terms.price), lease.share.nanoUsd)),
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
    const drawn = this.#draw({ ...lease, doubtful: true }, holds, nowMs, { spareNanoUsd: 0 });
    const requests = Math.max(0, drawn.share.requests - holds.length);
    const tokens = Math.floor((drawn.share.tokens * requests) / Math.max(1, drawn.share.requests));
    const left = { ...drawn, share: { ...drawn.share, requests, tokens } };
    traffic.lease(lease.terms.keyId, drawn, left);
    leases.put(left);
    return left;
  }

  /**
   * Takes the holds of requests out of the lease, and has them resolved. A lease that has run out has nothing left for
   * what its isolate tells late: that is paid if there is credit.
   */
  #draw(
    lease: Lease,
    holds: readonly LeasedHold[],
    nowMs: number,
    { spareNanoUsd = this.#parts.ledger.available() as number } = {},
  ): Lease {
    if (holds.length === 0) return lease;
    let left = lease.share.nanoUsd + spareNanoUsd;
    const drawn = holds.map((hold) => {
      const heldNanoUsd = nanoUsd(Math.min(hold.heldNanoUsd, left));
      left -= heldNanoUsd;
      return { ...hold, heldNanoUsd };
    });
    const heldNanoUsd = drawn.reduce((sum, each) => sum + each.heldNanoUsd, 0);
    const fromLeaseNanoUsd = nanoUsd(Math.min(heldNanoUsd, lease.share.nanoUsd));
    this.#parts.settlement.resolveTogether(lease, drawn, fromLeaseNanoUsd, nowMs);
    const share = { ...lease.share, nanoUsd: nanoUsd(lease.share.nanoUsd - fromLeaseNanoUsd) };
    const after = { ...lease, share };
    this.#parts.traffic.lease(lease.terms.keyId, lease, after);
    return after;
  }

  /** Moves held credit and what counts against limits along with it. */
  #move(before: Lease, after: Lease): Lease {
    const { store, traffic } = this.#parts;
    const more = minus(after.share, before.share);
    if (more.nanoUsd !== 0) store.changeHeld(more.nanoUsd);
    traffic.lease(after.terms.keyId, before, after);
    return after;
  }

  #isPressed(nowMs: number): boolean {
    return Math.abs(nowMs - this.#pressedAtMs) < PRESSED_MS;
  }
}

const NOTHING_GRANTED = {
  grown: { nanoUsd: nanoUsd(0), tokens: 0 },
  boundBy: null,
  slack: NO_ALLOTMENT,
} as const;

/** Nothing runs and nothing is wanted: the isolate gives the lease back. */
function isOver({ running, kept, needs, wants }: LeaseReport): boolean {
  return [running, kept, wants].every(isNothing) && needs.nanoUsd === 0 && needs.tokens === 0;
}

function isNothing({ requests, nanoUsd: nano, tokens }: Allotment): boolean {
  return requests === 0 && nano === 0 && tokens === 0;
}

function holdOf(end: LeasedEnd, ending: Ending, nowMs: number): LeasedHold {
  const { requestId, stream, heldNanoUsd, nodeId, ttftMs, admittedAgoMs } = end;
  const usage = end.usage ?? NO_USAGE;
  if (!isSound(usage)) throw new RangeError(`unsound usage for ${requestId}`);
  const state = end.usage === null ? 'voided' : 'posted';
  const admittedAtMs = nowMs - Math.max(0, admittedAgoMs);
  return { requestId, stream, admittedAtMs, heldNanoUsd, state, ending, nodeId, usage, ttftMs };
}
