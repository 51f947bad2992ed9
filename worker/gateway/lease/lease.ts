/**
 * A credit lease, as its isolate uses it. Requests of a busy key are admitted from credit that the Wallet has set aside
 * for them, and how they ended is reported many at a time: a request seldom waits for the Wallet, and hundreds share one call.
 * domain/lease.ts has the terms, wallet/leases.ts the Wallet's side.
 *
 * The lease's requests take turns at sending its reports, each while its own context lives, because a promise that
 * another request made may never settle. When no context reports any more, the nodes' receipts settle what ran.
 */
import type { HoldBound } from '../../domain/hold.ts';
import { coveredUsage, type Ending } from '../../domain/hold.ts';
import { newId } from '../../domain/ids.ts';
import {
  type Allotment,
  addAllotments,
  allotmentOf,
  type LeasedEnd,
  type LeaseGrant,
  type LeaseTerms,
  NO_ALLOTMENT,
  subtractAllotments,
  ticketOf,
} from '../../domain/lease.ts';
import { type NanoUsd, nanoUsd } from '../../domain/money.ts';
import { chargeFor } from '../../domain/pricing.ts';
import type { AdmitRequest, Admitted, ResizeRequest } from '../../domain/wallet.ts';
import { config, type Env } from '../../env.ts';
import { describeError } from '../../lib/describe-error.ts';
import { homeOf, rememberHome } from './affinity-cache.ts';

export type WaitUntil = (promise: Promise<unknown>) => void;

/**
 * Time between regular reports; urgent ones come sooner. Nothing waits for a regular report: the requests in it were
 * admitted and answered without it.
 */
const REPORT_EVERY_MS = 250;
/** Slack is wanted for twice the requests that the last interval's pace predicts, so that it seldom runs out. */
const AHEAD_FACTOR = 2;
/** A key that has just become busy may be much busier a moment later; the Wallet grants only a part of what is left anyway. */
const AHEAD_REQUESTS_MIN = 32;
/** Settling more requests than this would make one report too long a transaction for the Wallet. */
const AHEAD_REQUESTS_MAX = 2_000;
/** Slack older than this admits no request: the Wallet may have become unreachable, or may want the slack back. */
const SLACK_AGE_MS_MAX = 2_000;
/** A request's context lives for 30 s after its response; another request has to take over reporting before that. */
const REPORT_LOOP_MS_MAX = 20_000;
/** A report without a reply for this long counts as lost, and the next one may be sent. */
const LOST_MS = 3_000;
/** Ended requests in one report at most; the next report carries the rest, so that none blocks the Wallet for long. */
const ENDED_MAX = 1_000;
/** During this time no further lease is requested from an account that had no slack to grant. */
const COOLDOWN_MS = 5_000;
/** How often a report that waits for the one under way checks whether that has ended. */
const POLL_MS = 5;
/** Reports that are sent for one request whose end costs nothing, before its client is answered without them. */
const REPORT_ATTEMPTS_MAX = 3;
/** Factor by which the largest recent allotment, which sizes slack, decays with each report. */
const LARGEST_DECAY = 0.95;

interface Running {
  readonly stream: boolean;
  readonly admittedAtMs: number;
  readonly waitUntil: WaitUntil;
  /** when the request last grew its hold or was admitted */
  aliveAtMs: number;
  heldNanoUsd: NanoUsd;
  tokens: number;
}

export class Lease {
  readonly id: string;
  readonly terms: LeaseTerms;
  readonly #env: Env;
  readonly #accountId: string;
  readonly #running = new Map<string, Running>();
  /** ended requests that no report has settled yet, oldest first */
  readonly #ended: LeasedEnd[] = [];
  /** how many ended requests earlier reports have settled */
  #reportedEnds = 0;
  /** number of the last affinity that a grant carried */
  #affinitiesSeen = 0;
  #slack = NO_ALLOTMENT;
  #seq = 0;
  #admitted = 0;
  /** the last report that was sent */
  #lastReport = { seq: 0, admitted: 0, atMs: 0 };
  /** allotment of the largest recent request, which sizes the slack for the next ones */
  #largestRecent = NO_ALLOTMENT;
  #grant: LeaseGrant | null = null;
  #grantedAtMs = 0;
  #admittedAtMs: number;
  /** when the report loop last ran; 0: none runs */
  #loopRanAtMs = 0;
  #reportingSinceMs: number | null = null;
  /** the Wallet has closed the lease: nothing is admitted any more */
  #isClosed = false;
  /** the last report wanted slack and got none */
  #wasDeniedSlack = false;
  #hadSlack = false;

  constructor(env: Env, accountId: string, terms: LeaseTerms, first: Allotment, nowMs: number) {
    this.id = newId('lease', nowMs);
    this.terms = terms;
    this.#env = env;
    this.#accountId = accountId;
    this.#largestRecent = first;
    this.#admittedAtMs = nowMs;
  }

  get isOpen(): boolean {
    return !this.#isClosed;
  }

  /** The lease is closed, no request runs under it, and every end has been reported. */
  get isDone(): boolean {
    return this.#isClosed && this.#running.size === 0 && this.#ended.length === 0;
  }

  /** The lease was closed without ever having slack; for a while, another one would fare the same. */
  isInCooldown(nowMs: number): boolean {
    return this.#isClosed && !this.#hadSlack && Math.abs(nowMs - this.#lastReport.atMs) < COOLDOWN_MS;
  }

  /** Whether the request runs under this lease: it has not ended, and was not detached. */
  isRunning(requestId: string): boolean {
    return this.#running.has(requestId);
  }

  /** @returns null when the lease has no slack for it: the Wallet must then be called */
  admit(request: AdmitRequest, nowMs: number, waitUntil: WaitUntil): Admitted | null {
    const allotment = allotmentOf(request.hold, request.tokens);
    this.#largestRecent = largest(this.#largestRecent, allotment);
    this.#admittedAtMs = nowMs;
    const left = subtractAllotments(this.#slack, allotment);
    const hasRoom = left.requests >= 0 && left.nanoUsd >= 0 && left.tokens >= 0;
    const isFresh = Math.abs(nowMs - this.#grantedAtMs) < SLACK_AGE_MS_MAX;
    if (this.#isClosed || this.#grant === null || !isFresh || !hasRoom) {
      this.#keepReporting(waitUntil, nowMs);
      if (this.#isLow(nowMs)) waitUntil(this.#report(nowMs));
      return null;
    }
    this.#slack = left;
    this.#admitted += 1;
    const { stream, requestId } = request;
    const heldNanoUsd = allotment.nanoUsd;
    this.#running.set(requestId, {
      stream,
      admittedAtMs: nowMs,
      waitUntil,
      aliveAtMs: nowMs,
      heldNanoUsd,
      tokens: allotment.tokens,
    });
    this.#keepReporting(waitUntil, nowMs);
    if (this.#isLow(nowMs)) waitUntil(this.#report(nowMs));
    const { availableNanoUsd, rateLimit } = this.#grant;
    return { ok: true, heldNanoUsd, availableNanoUsd, rateLimit, home: homeOf(request.conversation, nowMs) };
  }

  /** The name under which the node's receipt finds the lease; see domain/lease.ts. */
  ticket(requestId: string): string {
    return ticketOf(this.id, this.#running.get(requestId)?.stream ?? false);
  }

  /**
   * Grows or shrinks one request's part of the lease: from the slack while that is enough, else by a report that waits
   * for the Wallet.
   * @throws Error when that report gets no reply
   */
  async resize(
    requestId: string,
    { wantedNanoUsd, tokens, answer }: Omit<ResizeRequest, 'requestId'>,
  ): Promise<{ heldNanoUsd: NanoUsd; boundBy: HoldBound | null } | null> {
    const request = this.#running.get(requestId);
    if (request === undefined) return null;
    const nowMs = Date.now();
    request.aliveAtMs = nowMs;
    request.tokens = tokens ?? request.tokens;
    // Later requests are expected to grow as this one does.
    this.#largestRecent = largest(this.#largestRecent, {
      requests: 1,
      nanoUsd: wantedNanoUsd,
      tokens: request.tokens,
    });
    if (answer) rememberHome(answer.conversation, answer, nowMs);
    this.#keepReporting(request.waitUntil, nowMs);
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

  /** Ends a request. @returns its charge: the part of its usage that its hold pays for, nano-USD */
  end(
    requestId: string,
    end: Pick<LeasedEnd, 'nodeId' | 'usage' | 'ttftMs' | 'conversation'> & { readonly ending: Ending },
  ): NanoUsd {
    const request = this.#running.get(requestId);
    if (request === undefined) return nanoUsd(0);
    const nowMs = Date.now();
    const { stream, heldNanoUsd, admittedAtMs, waitUntil } = request;
    const { price } = this.terms;
    const { conversation, nodeId } = end;
    if (conversation !== undefined && nodeId !== null && end.usage !== null)
      rememberHome(conversation, { nodeId, promptTokens: end.usage.promptTokens }, nowMs);
    const usage = end.usage && coveredUsage(end.usage, heldNanoUsd, price);
    this.#running.delete(requestId);
    this.#ended.push({ requestId, stream, heldNanoUsd, ...end, usage, admittedAgoMs: nowMs - admittedAtMs });
    this.#keepReporting(waitUntil, nowMs);
    return usage === null ? nanoUsd(0) : chargeFor(usage, price);
  }

  /**
   * Resolves when the Wallet has settled an ended request, or when several reports of it got no reply. A request that
   * costs nothing is reported before the client is answered: if this isolate died first, the node's receipt would be
   * billed instead.
   */
  async reported(requestId: string): Promise<void> {
    const isUnreported = () => this.#ended.some((end) => end.requestId === requestId);
    for (let attempt = 1; isUnreported() && attempt <= REPORT_ATTEMPTS_MAX; attempt++) {
      // The report under way, or one that another request sends after it, may already carry this one.
      await this.#untilFree();
      if (isUnreported()) await this.#report(Date.now(), { isUrgent: true });
    }
  }

  /** Makes the calling request's context keep the lease reporting, unless another context has done so recently. */
  #keepReporting(waitUntil: WaitUntil, nowMs: number): void {
    if (nowMs - this.#loopRanAtMs < 3 * REPORT_EVERY_MS) return;
    this.#loopRanAtMs = nowMs;
    waitUntil(this.#reportLoop(nowMs));
  }

  async #reportLoop(sinceMs: number): Promise<void> {
    // The first report asks for the slack to begin with.
    if (this.#grant === null) await this.#report(sinceMs);
    while (!this.isDone) {
      await scheduler.wait(REPORT_EVERY_MS);
      const nowMs = Date.now();
      this.#loopRanAtMs = nowMs;
      // No other context may take over: unused slack goes back, and the next request asks for it again.
      const isLast = Math.abs(nowMs - sinceMs) > REPORT_LOOP_MS_MAX;
      if (isLast || this.#isDue(nowMs)) await this.#report(nowMs, { isLast });
      if (isLast) break;
    }
    this.#loopRanAtMs = 0;
  }

  #isDue(nowMs: number): boolean {
    const { holdLeaseMs, leaseBusyMs } = config(this.#env);
    const isIdle = nowMs - this.#admittedAtMs > leaseBusyMs;
    return (
      this.#ended.length > 0 ||
      this.#admitted > this.#lastReport.admitted ||
      (isIdle && this.isOpen && this.#running.size === 0) ||
      (!isNothing(this.#slack) && (isIdle || this.#grant!.contended)) ||
      nowMs - this.#lastReport.atMs > holdLeaseMs / 3
    );
  }

  #isReporting(): boolean {
    return this.#reportingSinceMs !== null && Math.abs(Date.now() - this.#reportingSinceMs) < LOST_MS;
  }

  async #untilFree(): Promise<void> {
    while (this.#isReporting()) await scheduler.wait(POLL_MS);
  }

  /**
   * Sends one report at a time: each carries the lease's full state, so two in flight could not be ordered.
   * @returns null when it was not sent, got no reply, or was overtaken by a later report
   */
  async #report(
    nowMs: number,
    { neededNanoUsd = nanoUsd(0), isUrgent = false, isLast = false } = {},
  ): Promise<LeaseGrant | null> {
    if (this.#isReporting() && !isUrgent) return null;
    await this.#untilFree();
    this.#reportingSinceMs = Date.now();
    const isIdle = nowMs - this.#admittedAtMs > config(this.#env).leaseBusyMs;
    const givesBack = isIdle || isLast || this.#isClosed || this.#grant?.contended;
    if (givesBack) this.#slack = NO_ALLOTMENT;
    const wantedSlack = givesBack ? NO_ALLOTMENT : this.#missingSlack(nowMs);
    const seq = ++this.#seq;
    this.#detachSilent(nowMs);
    const ended = this.#ended.slice(0, ENDED_MAX);
    // Ends that do not fit keep their part of the lease until a later report carries them.
    const running = this.#ended.slice(ENDED_MAX).reduce(withHold, this.#runningAllotment());
    const reportedBefore = this.#reportedEnds;
    this.#lastReport = { seq, admitted: this.#admitted, atMs: nowMs };
    this.#largestRecent = scaled(this.#largestRecent, LARGEST_DECAY);
    const report = {
      leaseId: this.id,
      seq,
      terms: this.terms,
      ended,
      reportedBefore,
      admitted: this.#admitted,
      running,
      keptSlack: this.#slack,
      needs: { nanoUsd: neededNanoUsd, tokens: 0 },
      wantedSlack,
      affinitiesSeen: this.#affinitiesSeen,
    };
    try {
      const grant = await this.#env.WALLET.getByName(this.#accountId).lease(report);
      const settled = Math.max(0, reportedBefore + ended.length - this.#reportedEnds);
      this.#ended.splice(0, settled);
      this.#reportedEnds += settled;
      for (const home of grant.affinities) rememberHome(home.conversation, home, nowMs);
      this.#affinitiesSeen = Math.max(this.#affinitiesSeen, grant.affinitiesSeen);
      if (!grant.open) {
        this.#isClosed = true;
        this.#slack = NO_ALLOTMENT;
      }
      // This report was taken for lost, and a later one carries the lease's state since.
      if (this.#lastReport.seq !== seq) return null;
      this.#slack = addAllotments(this.#slack, grant.slack);
      this.#grant = grant;
      this.#hadSlack ||= !isNothing(grant.slack);
      this.#wasDeniedSlack = !isNothing(wantedSlack) && isNothing(grant.slack);
      this.#grantedAtMs = nowMs;
      return grant;
    } catch (error) {
      const event = { event: 'lease_report_failed', leaseId: this.id, error: describeError(error) };
      console.error(JSON.stringify(event));
      return null;
    } finally {
      if (this.#lastReport.seq === seq) this.#reportingSinceMs = null;
    }
  }

  /** Whether slack should be refilled. After a refill that returned none, waits for REPORT_EVERY_MS. */
  #isLow(nowMs: number): boolean {
    const isEarly = nowMs - this.#lastReport.atMs < REPORT_EVERY_MS;
    if (this.#isClosed || this.#grant === null || (this.#wasDeniedSlack && isEarly)) return false;
    // Slack is low when it covers less than about half an interval's requests; `#ahead` is those of AHEAD_FACTOR intervals.
    const least = scaled(this.#largestRecent, this.#ahead(nowMs) / AHEAD_FACTOR / 2);
    const { requests, nanoUsd: nano, tokens } = this.#slack;
    return requests < least.requests || nano < least.nanoUsd || tokens < least.tokens;
  }

  /**
   * Turns the part of a silent request into a hold of its own, which the node's receipt settles. A context can end
   * without notice while its isolate lives: after a client disconnects it has only seconds left.
   */
  #detachSilent(nowMs: number): void {
    const silentMs = config(this.#env).holdLeaseMs;
    for (const [requestId, { stream, heldNanoUsd, admittedAtMs, aliveAtMs }] of this.#running) {
      if (nowMs - aliveAtMs <= silentMs) continue;
      this.#running.delete(requestId);
      const unknownEnd = { nodeId: null, ending: null, usage: null, ttftMs: null };
      this.#ended.push({
        requestId,
        stream,
        heldNanoUsd,
        admittedAgoMs: nowMs - admittedAtMs,
        ...unknownEnd,
      });
    }
  }

  #missingSlack(nowMs: number): Allotment {
    const missing = subtractAllotments(scaled(this.#largestRecent, this.#ahead(nowMs)), this.#slack);
    return {
      requests: Math.max(0, missing.requests),
      nanoUsd: nanoUsd(Math.max(0, missing.nanoUsd)),
      tokens: Math.max(0, missing.tokens),
    };
  }

  /** How many further requests slack is wanted for. */
  #ahead(nowMs = Date.now()): number {
    const spanMs = Math.max(50, nowMs - this.#lastReport.atMs);
    const pace = ((this.#admitted - this.#lastReport.admitted) / spanMs) * REPORT_EVERY_MS;
    // Running requests may end together, and each may be followed by another at once.
    const wanted = Math.max(AHEAD_REQUESTS_MIN, this.#running.size, Math.ceil(AHEAD_FACTOR * pace));
    return Math.min(AHEAD_REQUESTS_MAX, wanted);
  }

  #runningAllotment(): Allotment {
    let held = 0;
    let tokens = 0;
    for (const request of this.#running.values()) {
      held += request.heldNanoUsd;
      tokens += request.tokens;
    }
    return { requests: this.#running.size, nanoUsd: nanoUsd(held), tokens };
  }
}

/** Adds the part of an ended request that this report does not carry. */
function withHold(sum: Allotment, { heldNanoUsd }: LeasedEnd): Allotment {
  return addAllotments(sum, { requests: 1, nanoUsd: heldNanoUsd, tokens: 0 });
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
