/**
 * What counts against limits: requests and tokens of the last minute and in flight, by key and for the whole account.
 * In memory, so that admission need not count rows; the request table can make it anew at any time.
 */
import { type Allotment, type Lease, minus, NO_ALLOTMENT, plus } from '../domain/lease.ts';
import type { Load } from '../domain/limits.ts';
import { nanoUsd } from '../domain/money.ts';
import type { HeldRequest } from './held-request.ts';

const WINDOW_MS = 60_000;

/** A request's part in what is in flight. */
type Part = Pick<HeldRequest, 'heldNanoUsd' | 'tokens' | 'background'>;

/** A request of the last minute, as rows remember it. */
export type Recent = Part & Pick<HeldRequest, 'keyId' | 'state' | 'admittedAtMs' | 'endedAtMs' | 'usage'>;

/** What a lease has set aside, and how much of it is slack. */
export type Leased = Pick<Lease, 'share' | 'slack'>;
export const NOTHING_LEASED: Leased = { share: NO_ALLOTMENT, slack: NO_ALLOTMENT };

export class RateCounters {
  readonly #keys = new Map<string, Scope>();
  #account = new Scope();

  /** Forgets everything and counts again from the rows; see WalletStore.recentRequests. */
  reload(
    { recent, leases }: { recent: (afterMs: number) => readonly Recent[]; leases: readonly Lease[] },
    nowMs: number,
  ): void {
    this.#keys.clear();
    this.#account = new Scope();
    const requests = recent(nowMs - WINDOW_MS);
    for (const request of requests) this.admit(request);
    for (const lease of leases) {
      const { keyId } = lease.terms;
      this.lease(keyId, NOTHING_LEASED, lease);
      this.admitted(keyId, lease.share.requests - lease.slack.requests, nowMs);
    }
    const ended = requests.filter(({ state }) => state !== 'held');
    for (const request of ended.sort((a, b) => a.endedAtMs! - b.endedAtMs!)) this.end(request, request);
  }

  /**
   * @param keyId null: the whole account
   * @param of without slack it is what requests themselves use
   */
  load(
    keyId: string | null,
    nowMs: number,
    of: { slack: boolean } = { slack: true },
  ): Omit<Load, 'spentNanoUsd'> {
    return (keyId === null ? this.#account : (this.#keys.get(keyId) ?? new Scope())).load(nowMs, of);
  }

  /** Slack of all leases together. */
  get slack(): Allotment {
    return this.#account.slack;
  }

  lease(keyId: string, before: Leased, after: Leased): void {
    for (const scope of this.#of(keyId)) scope.lease(before, after);
  }

  /** Requests that leases admitted; how they end is told by `lease` and `used`. */
  admitted(keyId: string, requests: number, nowMs: number): void {
    if (requests > 0) for (const scope of this.#of(keyId)) scope.admitted(nowMs, requests);
  }

  /** What a request of a lease used in the end. */
  used(keyId: string, tokens: number, nowMs: number): void {
    if (tokens > 0) for (const scope of this.#of(keyId)) scope.used(nowMs, tokens);
  }

  admit({ keyId, admittedAtMs, ...share }: Part & Pick<HeldRequest, 'keyId' | 'admittedAtMs'>): void {
    for (const scope of this.#of(keyId)) scope.admit(admittedAtMs, share);
  }

  resize(
    { keyId, background, ...before }: Part & Pick<HeldRequest, 'keyId'>,
    after: Omit<Part, 'background'>,
  ): void {
    for (const scope of this.#of(keyId)) scope.resize(before, after, background);
  }

  /** @param held as it was in flight; `ended` says what it used and when */
  end(
    { keyId, ...share }: Part & Pick<HeldRequest, 'keyId'>,
    { usage, endedAtMs }: Pick<HeldRequest, 'usage' | 'endedAtMs'>,
  ): void {
    const used = usage.promptTokens + usage.completionTokens;
    for (const scope of this.#of(keyId)) scope.end(endedAtMs!, share, used);
  }

  /** Keys that did nothing for a minute take no room. */
  forgetIdle(nowMs: number): void {
    for (const [keyId, scope] of this.#keys) if (scope.isIdle(nowMs)) this.#keys.delete(keyId);
  }

  #of(keyId: string): [Scope, Scope] {
    const key = this.#keys.get(keyId) ?? new Scope();
    this.#keys.set(keyId, key);
    return [key, this.#account];
  }
}

type Amounts = { readonly heldNanoUsd: number; readonly tokens: number };
const NOTHING: Amounts = { heldNanoUsd: 0, tokens: 0 };

class Scope {
  readonly #admitted = new Minute();
  readonly #endedTokens = new Minute();
  #inFlight = 0;
  #heldNanoUsd = 0;
  #tokens = 0;
  slack = NO_ALLOTMENT;

  load(nowMs: number, of: { slack: boolean } = { slack: true }): Omit<Load, 'spentNanoUsd'> {
    this.#admitted.prune(nowMs);
    this.#endedTokens.prune(nowMs);
    const oldestMs = this.#admitted.oldestMs;
    const oldestEndMs = this.#endedTokens.oldestMs;
    // slack may be admitted within the minute, and is in hand for whoever has it
    const idle = of.slack ? NO_ALLOTMENT : this.slack;
    return {
      requestsLastMinute: this.#admitted.sum + this.slack.requests - idle.requests,
      oldestRequestAgeMs: oldestMs === null ? 0 : nowMs - oldestMs,
      tokensLastMinute: this.#endedTokens.sum + this.#tokens - idle.tokens,
      tokensFreeInMs: oldestEndMs === null ? null : oldestEndMs + WINDOW_MS - nowMs,
      inFlight: this.#inFlight - idle.requests,
      heldNanoUsd: nanoUsd(this.#heldNanoUsd - idle.nanoUsd),
    };
  }

  admit(atMs: number, share: Part): void {
    this.resize(NOTHING, share, share.background);
    if (share.background) return;
    this.#admitted.add(atMs, 1);
    this.#inFlight += 1;
  }

  resize(before: Amounts, after: Amounts, background: boolean): void {
    this.#heldNanoUsd += after.heldNanoUsd - before.heldNanoUsd;
    if (!background) this.#tokens += after.tokens - before.tokens;
  }

  lease(before: Leased, after: Leased): void {
    const more = minus(after.share, before.share);
    this.#heldNanoUsd += more.nanoUsd;
    this.#tokens += more.tokens;
    this.#inFlight += more.requests;
    this.slack = plus(this.slack, minus(after.slack, before.slack));
  }

  admitted(atMs: number, requests: number): void {
    this.#admitted.add(atMs, requests);
  }

  used(atMs: number, tokens: number): void {
    this.#endedTokens.add(atMs, tokens);
  }

  end(atMs: number, share: Part, usedTokens: number): void {
    this.resize(share, NOTHING, share.background);
    if (share.background) return;
    this.#inFlight -= 1;
    if (usedTokens > 0) this.#endedTokens.add(atMs, usedTokens);
  }

  isIdle(nowMs: number): boolean {
    const { requestsLastMinute, tokensLastMinute, inFlight } = this.load(nowMs);
    return requestsLastMinute === 0 && tokensLastMinute === 0 && inFlight === 0;
  }
}

/** Amounts by the time at which they were added, as long as they are no older than a minute. */
class Minute {
  #times: number[] = [];
  #amounts: number[] = [];
  /** those before it are over; they are cut off when they are many, not one by one */
  #first = 0;
  sum = 0;

  get oldestMs(): number | null {
    return this.#times[this.#first] ?? null;
  }

  add(atMs: number, amount: number): void {
    this.#times.push(atMs);
    this.#amounts.push(amount);
    this.sum += amount;
  }

  prune(nowMs: number): void {
    while (this.#first < this.#times.length && this.#times[this.#first]! <= nowMs - WINDOW_MS) {
      this.sum -= this.#amounts[this.#first]!;
      this.#first += 1;
    }
    if (this.#first > 1_000 && this.#first > this.#times.length / 2) {
      this.#times = this.#times.slice(this.#first);
      this.#amounts = this.#amounts.slice(this.#first);
      this.#first = 0;
    }
  }
}
