/**
 * This isolate's leases. A busy key's requests are admitted from what its Wallet has set aside for them, and how they
 * went is told together: no request waits for the Wallet, and hundreds share a call (domain/lease.ts, durable/leases.ts).
 *
 * A lease is tended by one of its requests after the other, each while its own context lives: a promise of another
 * request may never settle, so none is waited for. Where nobody tells any more, nodes' receipts do.
 */

import type { HoldBound } from '../../domain/hold.ts';
import { coveredUsage, type Ending } from '../../domain/hold.ts';
import { newId } from '../../domain/ids.ts';
import {
  type Allotment,
  allotmentOf,
  type LeasedEnd,
  type LeaseGrant,
  type LeaseTerms,
  minus,
  NO_ALLOTMENT,
  plus,
  ticketOf,
} from '../../domain/lease.ts';
import { type NanoUsd, nanoUsd } from '../../domain/money.ts';
import { chargeFor } from '../../domain/pricing.ts';
import type { AdmitRequest, Admitted, ResizeRequest } from '../../domain/wallet.ts';
import { config, type Env } from '../../env.ts';
import { describeError } from '../../lib/describe-error.ts';
import { homeOf, rememberHome } from './affinity-cache.ts';

export type WaitUntil = (promise: Promise<unknown>) => void;

/** How often the Wallet is told; what it is told of was admitted and answered long before. */
const REPORT_EVERY_MS = 250;
/** For the next moments, at the pace of the last one: twice as much, so that it seldom runs out. */
const AHEAD = 2;
/** A key that has become busy may be much busier a moment later; the Wallet gives no more than a part of what is left. */
const AHEAD_REQUESTS_MIN = 32;
/** More would make one report too long a transaction. */
const AHEAD_REQUESTS_MAX = 2_000;
/** Slack that was not renewed for so long is no longer admitted from: the Wallet may be silent, or take it back. */
const SLACK_AGE_MS_MAX = 2_000;
/** After the response a context lives for 30 s; by then another request has to have taken over. */
const TENDED_MS_MAX = 20_000;
/** A report without an answer for so long is lost, and another may be made. */
const LOST_MS = 3_000;
/** What is more is told in the next report: one should not keep a Wallet from all others for long. */
const ENDED_MAX = 1_000;
/** An account that had no slack to give, or of which others waited for theirs, has none a moment later either. */
const BARREN_MS = 5_000;
const LOOK_EVERY_MS = 5;
const TELL_ATTEMPTS = 3;
/** What one large request took is wanted for the next ones, too, but not for ever. */
const TYPICAL_DECAY = 0.95;

interface Running {
  readonly stream: boolean;
  readonly admittedAtMs: number;
  readonly waitUntil: WaitUntil;
  /** when it last gave a sign */
  aliveAtMs: number;
  heldNanoUsd: NanoUsd;
  tokens: number;
}

export const byRequest = new Map<string, Lease>();
export class Lease {
  readonly id: string;
  readonly terms: LeaseTerms;
  readonly #env: Env;
  readonly #accountId: string;
  readonly #running = new Map<string, Running>();
  /** not told yet, oldest first, and how many before them have been */
  readonly #ended: LeasedEnd[] = [];
  #toldEnds = 0;
  #homesSeen = 0;
  #slack = NO_ALLOTMENT;
  #seq = 0;
  #admitted = 0;
  /** of the last report */
  #told = { seq: 0, admitted: 0, atMs: 0 };
  /** the largest of what was admitted since */
  #typical = NO_ALLOTMENT;
  #grant: LeaseGrant | null = null;
  #grantedAtMs = 0;
  #admittedAtMs: number;
  #tendedAtMs = 0;
  #reportingSinceMs: number | null = null;
  #over = false;
  /** slack was wanted, and there was none to be had */
  #isStinted = false;
  #hadSlack = false;

  constructor(env: Env, accountId: string, terms: LeaseTerms, first: Allotment, nowMs: number) {
    this.id = newId('lease', nowMs);
    this.terms = terms;
    this.#env = env;
    this.#accountId = accountId;
    this.#typical = first;
    this.#admittedAtMs = nowMs;
  }

  get isOpen(): boolean {
    return !this.#over;
  }

  /** Nothing runs under it, and all has been told. */
  get isDone(): boolean {
    return this.#over && this.#running.size === 0 && this.#ended.length === 0;
  }

  /** It was never given anything; for a while another would not be, either. */
  isBarren(nowMs: number): boolean {
    return this.#over && !this.#hadSlack && Math.abs(nowMs - this.#told.atMs) < BARREN_MS;
  }

  /** @returns null: it has no room, and the Wallet is to be asked */
  admit(asked: AdmitRequest, nowMs: number, waitUntil: WaitUntil): Admitted | null {
    const share = allotmentOf(asked.hold, asked.tokens);
    this.#typical = largest(this.#typical, share);
    this.#admittedAtMs = nowMs;
    const left = minus(this.#slack, share);
    const hasRoom = left.requests >= 0 && left.nanoUsd >= 0 && left.tokens >= 0;
    const isFresh = Math.abs(nowMs - this.#grantedAtMs) < SLACK_AGE_MS_MAX;
    if (this.#over || this.#grant === null || !isFresh || !hasRoom) {
      this.#tend(waitUntil, nowMs);
      if (this.#isLow(nowMs)) waitUntil(this.#report(nowMs));
      return null;
    }
    this.#slack = left;
    this.#admitted += 1;
    const { stream, requestId } = asked;
    const heldNanoUsd = share.nanoUsd;
    this.#running.set(requestId, {
      stream,
      admittedAtMs: nowMs,
      waitUntil,
      aliveAtMs: nowMs,
      heldNanoUsd,
      tokens: share.tokens,
    });
    this.#tend(waitUntil, nowMs);
    if (this.#isLow(nowMs)) waitUntil(this.#report(nowMs));
    const { availableNanoUsd, rateLimit } = this.#grant;
    return { ok: true, heldNanoUsd, availableNanoUsd, rateLimit, home: homeOf(asked.conversation, nowMs) };
  }

  ticket(requestId: string): string {
    return ticketOf(this.id, this.#running.get(requestId)?.stream ?? false);
  }

  /** As a Wallet's `resize`, from the slack while that is enough. */
  async resize(
    requestId: string,
    { wantedNanoUsd, tokens, answer }: Omit<ResizeRequest, 'requestId'>,
  ): Promise<{ heldNanoUsd: NanoUsd; boundBy: HoldBound | null } | null> {
    const request = this.#running.get(requestId);
    if (request === undefined) return null;
    const nowMs = Date.now();
    request.aliveAtMs = nowMs;
    request.tokens = tokens ?? request.tokens;
    // the next ones will grow as this one does
    this.#typical = largest(this.#typical, { requests: 1, nanoUsd: wantedNanoUsd, tokens: request.tokens });
    if (answer) rememberHome(answer.conversation, answer, nowMs);
    this.#tend(request.waitUntil, nowMs);
    const more = nanoUsd(wantedNanoUsd - request.heldNanoUsd);
    if (more <= this.#slack.nanoUsd) {
      this.#slack = { ...this.#slack, nanoUsd: nanoUsd(this.#slack.nanoUsd - more) };
      request.heldNanoUsd = wantedNanoUsd;
      if (this.#isLow(nowMs)) request.waitUntil(this.#report(nowMs));
      return { heldNanoUsd: wantedNanoUsd, boundBy: null };
    }
    const grant = await this.#report(nowMs, { neededNanoUsd: more, isUrgent: true });
    if (grant === null) throw new Error('the Wallet cannot be reached');
    request.heldNanoUsd = nanoUsd(request.heldNanoUsd + grant.grown.nanoUsd);
    return { heldNanoUsd: request.heldNanoUsd, boundBy: grant.open ? grant.boundBy : 'insufficient_balance' };
  }

  /** @returns what it costs: what its hold pays for of what was used */
  end(
    requestId: string,
    how: Pick<LeasedEnd, 'nodeId' | 'usage' | 'ttftMs' | 'conversation'> & { readonly ending: Ending },
  ): NanoUsd {
    const request = this.#running.get(requestId);
    if (request === undefined) return nanoUsd(0);
    const nowMs = Date.now();
    const { stream, heldNanoUsd, admittedAtMs, waitUntil } = request;
    const { price } = this.terms;
    const { conversation, nodeId } = how;
    if (conversation !== undefined && nodeId !== null && how.usage !== null)
      rememberHome(conversation, { nodeId, promptTokens: how.usage.promptTokens }, nowMs);
    const usage = how.usage && coveredUsage(how.usage, heldNanoUsd, price);
    this.#running.delete(requestId);
    byRequest.delete(requestId);
    this.#ended.push({ requestId, stream, heldNanoUsd, ...how, usage, admittedAgoMs: nowMs - admittedAtMs });
    this.#tend(waitUntil, nowMs);
    return usage === null ? nanoUsd(0) : chargeFor(usage, price);
  }

  /**
   * Resolves when the Wallet has heard how a request ended, or cannot be reached. What costs nothing is told before its
   * client is: were the isolate lost with it, a node that finished in vain would be believed.
   */
  async told(requestId: string): Promise<void> {
    const isUntold = () => this.#ended.some((end) => end.requestId === requestId);
    for (let attempt = 1; isUntold() && attempt <= TELL_ATTEMPTS; attempt++) {
      // the report that is under way, or another's after it, may tell of this one, too
      await this.#untilFree();
      if (isUntold()) await this.#report(Date.now(), { isUrgent: true });
    }
  }

  /** Sees to it that somebody tells the Wallet. */
  #tend(waitUntil: WaitUntil, nowMs: number): void {
    if (nowMs - this.#tendedAtMs < 3 * REPORT_EVERY_MS) return;
    this.#tendedAtMs = nowMs;
    waitUntil(this.#tending(nowMs));
  }

  async #tending(sinceMs: number): Promise<void> {
    // the first is for slack to begin with
    if (this.#grant === null) await this.#report(sinceMs);
    while (!this.isDone) {
      await scheduler.wait(REPORT_EVERY_MS);
      const nowMs = Date.now();
      this.#tendedAtMs = nowMs;
      // nobody may come after this one: what is not used goes back, and comes again with the next request
      const isLast = Math.abs(nowMs - sinceMs) > TENDED_MS_MAX;
      if (isLast || this.#isDue(nowMs)) await this.#report(nowMs, { isLast });
      if (isLast) break;
    }
    this.#tendedAtMs = 0;
  }

  #isDue(nowMs: number): boolean {
    const { holdLeaseMs, leaseBusyMs } = config(this.#env);
    const isIdle = nowMs - this.#admittedAtMs > leaseBusyMs;
    return (
      this.#ended.length > 0 ||
      this.#admitted > this.#told.admitted ||
      (isIdle && this.isOpen && this.#running.size === 0) ||
      (!isNothing(this.#slack) && (isIdle || this.#grant!.pressed)) ||
      nowMs - this.#told.atMs > holdLeaseMs / 3
    );
  }

  #isReporting(): boolean {
    return this.#reportingSinceMs !== null && Math.abs(Date.now() - this.#reportingSinceMs) < LOST_MS;
  }

  async #untilFree(): Promise<void> {
    while (this.#isReporting()) await scheduler.wait(LOOK_EVERY_MS);
  }

  /** One at a time: each says all there is, so of two that cross nobody knew which is true. @returns null: not told */
  async #report(
    nowMs: number,
    { neededNanoUsd = nanoUsd(0), isUrgent = false, isLast = false } = {},
  ): Promise<LeaseGrant | null> {
    if (this.#isReporting() && !isUrgent) return null;
    await this.#untilFree();
    this.#reportingSinceMs = Date.now();
    const isIdle = nowMs - this.#admittedAtMs > config(this.#env).leaseBusyMs;
    const givesBack = isIdle || isLast || this.#over || this.#grant?.pressed;
    if (givesBack) this.#slack = NO_ALLOTMENT;
    const wants = givesBack ? NO_ALLOTMENT : this.#wants(nowMs);
    const seq = ++this.#seq;
    this.#partFromLost(nowMs);
    const ended = this.#ended.slice(0, ENDED_MAX);
    // what does not fit keeps its part of the lease until it is told
    const running = this.#ended.slice(ENDED_MAX).reduce(withHold, this.#runningShare());
    const toldBefore = this.#toldEnds;
    this.#told = { seq, admitted: this.#admitted, atMs: nowMs };
    this.#typical = scaled(this.#typical, TYPICAL_DECAY);
    const report = {
      leaseId: this.id,
      seq,
      terms: this.terms,
      ended,
      toldBefore,
      admitted: this.#admitted,
      running,
      kept: this.#slack,
      needs: { nanoUsd: neededNanoUsd, tokens: 0 },
      wants,
      homesSeen: this.#homesSeen,
    };
    try {
      const grant = await this.#env.WALLET.getByName(this.#accountId).lease(report);
      const told = Math.max(0, toldBefore + ended.length - this.#toldEnds);
      this.#ended.splice(0, told);
      this.#toldEnds += told;
      for (const home of grant.homes) rememberHome(home.conversation, home, nowMs);
      this.#homesSeen = Math.max(this.#homesSeen, grant.homesSeen);
      if (!grant.open) {
        this.#over = true;
        this.#slack = NO_ALLOTMENT;
      }
      // taken for lost, and another has said since how it is
      if (this.#told.seq !== seq) return null;
      this.#slack = plus(this.#slack, grant.slack);
      this.#grant = grant;
      this.#hadSlack ||= !isNothing(grant.slack);
      this.#isStinted = !isNothing(wants) && isNothing(grant.slack);
      this.#grantedAtMs = nowMs;
      return grant;
    } catch (error) {
      const event = { event: 'lease_report_failed', leaseId: this.id, error: describeError(error) };
      console.error(JSON.stringify(event));
      return null;
    } finally {
      if (this.#told.seq === seq) this.#reportingSinceMs = null;
    }
  }

  /** More is asked for before it is missed; where there was none to be had, no sooner than it is time again. */
  #isLow(nowMs: number): boolean {
    const isEarly = nowMs - this.#told.atMs < REPORT_EVERY_MS;
    if (this.#over || this.#grant === null || (this.#isStinted && isEarly)) return false;
    const least = scaled(this.#typical, this.#ahead(nowMs) / 2 / AHEAD);
    const { requests, nanoUsd: nano, tokens } = this.#slack;
    return requests < least.requests || nano < least.nanoUsd || tokens < least.tokens;
  }

  /**
   * The context of a request may end with nothing said while its isolate lives: after a client that left it has seconds.
   * Its hold is then one of its own, which receipts settle.
   */
  #partFromLost(nowMs: number): void {
    const silentMs = config(this.#env).holdLeaseMs;
    for (const [requestId, { stream, heldNanoUsd, admittedAtMs, aliveAtMs }] of this.#running) {
      if (nowMs - aliveAtMs <= silentMs) continue;
      this.#running.delete(requestId);
      byRequest.delete(requestId);
      const unknown = { nodeId: null, ending: null, usage: null, ttftMs: null };
      this.#ended.push({ requestId, stream, heldNanoUsd, admittedAgoMs: nowMs - admittedAtMs, ...unknown });
    }
  }

  #wants(nowMs: number): Allotment {
    const missing = minus(scaled(this.#typical, this.#ahead(nowMs)), this.#slack);
    return {
      requests: Math.max(0, missing.requests),
      nanoUsd: nanoUsd(Math.max(0, missing.nanoUsd)),
      tokens: Math.max(0, missing.tokens),
    };
  }

  /** Requests to have slack for. */
  #ahead(nowMs = Date.now()): number {
    const spanMs = Math.max(50, nowMs - this.#told.atMs);
    const pace = ((this.#admitted - this.#told.admitted) / spanMs) * REPORT_EVERY_MS;
    // those that run may end together, and each be followed by the next at once
    const wanted = Math.max(AHEAD_REQUESTS_MIN, this.#running.size, Math.ceil(AHEAD * pace));
    return Math.min(AHEAD_REQUESTS_MAX, wanted);
  }

  #runningShare(): Allotment {
    let held = 0;
    let tokens = 0;
    for (const request of this.#running.values()) {
      held += request.heldNanoUsd;
      tokens += request.tokens;
    }
    return { requests: this.#running.size, nanoUsd: nanoUsd(held), tokens };
  }
}

function withHold(sum: Allotment, { heldNanoUsd }: LeasedEnd): Allotment {
  return plus(sum, { requests: 1, nanoUsd: heldNanoUsd, tokens: 0 });
}

function isNothing({ requests, nanoUsd: nano }: Allotment): boolean {
  return requests === 0 && nano === 0;
}

function largest(a: Allotment, b: Allotment): Allotment {
  return {
    requests: 1,
    nanoUsd: nanoUsd(Math.max(a.nanoUsd, b.nanoUsd)),
    tokens: Math.max(a.tokens, b.tokens),
  };
}

function scaled({ nanoUsd: nano, tokens }: Allotment, by: number): Allotment {
  return { requests: Math.ceil(by), nanoUsd: nanoUsd(Math.ceil(nano * by)), tokens: Math.ceil(tokens * by) };
}
