/**
 * Counters of what counts against the limits: requests and tokens of the last minute and in flight, for each key and for
 * the whole account. They are kept in memory so that admission need not count rows, and can be rebuilt from the stored
 * requests at any time.
 */
import {
  type Allotment,
  addAllotments,
  type Lease,
  NO_ALLOTMENT,
  subtractAllotments,
} from '../domain/lease.ts';
import { type Caps, type Load, type SharedCaps, sharingIds } from '../domain/limits.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { HeldRequest } from './held-request.ts';

const WINDOW_MS = 60_000;

/** The amounts that a request in flight counts for. */
type InFlight = Pick<HeldRequest, 'heldNanoUsd' | 'tokens' | 'background'>;

/** The key that uses credit or limits, and the other keys' caps that its credit counts against. */
interface Payer {
  readonly keyId: string;
  readonly caps?: Pick<Caps, 'shared'>;
}

/** A stored request that is held or ended within the last minute. */
export type RecentRequest = InFlight &
  Payer &
  Pick<HeldRequest, 'state' | 'admittedAtMs' | 'endedAtMs' | 'usage'>;

/** The allotment of a lease, and the part of it that is slack. */
export type LeasedAllotment = Pick<Lease, 'allotment' | 'slack'>;
export const NOTHING_LEASED: LeasedAllotment = { allotment: NO_ALLOTMENT, slack: NO_ALLOTMENT };

export class RateCounters {
  readonly #keys = new Map<string, Scope>();
  /** Credit that other keys hold and that counts against a key's cap, by the id of that key. Rates are not shared. */
  readonly #shared = new Map<string, Scope>();
  #account = new Scope();

  /** Discards all counts and counts again from the stored requests and the open leases. */
  reload(
    { recent, leases }: { recent: (afterMs: number) => readonly RecentRequest[]; leases: readonly Lease[] },
    nowMs: number,
  ): void {
    this.#keys.clear();
    this.#shared.clear();
    this.#account = new Scope();
    const requests = recent(nowMs - WINDOW_MS);
    for (const request of requests) this.admit(request);
    for (const lease of leases) {
      const { keyId, limits } = lease.terms;
      this.lease({ keyId, caps: limits }, NOTHING_LEASED, lease);
      this.admitted(keyId, lease.allotment.requests - lease.slack.requests, nowMs);
    }
    const ended = requests.filter(({ state }) => state !== 'held');
    for (const request of ended.sort((a, b) => a.endedAtMs! - b.endedAtMs!)) this.end(request, request);
  }

  /**
   * @param keyId null: the whole account
   * @param counted without slack, only what requests themselves use counts
   */
  load(
    keyId: string | null,
    nowMs: number,
    counted: { slack: boolean } = { slack: true },
  ): Omit<Load, 'spentNanoUsd'> {
    return (keyId === null ? this.#account : (this.#keys.get(keyId) ?? new Scope())).load(nowMs, counted);
  }

  /** Credit held that counts against the cap of a key: its own, and that of the keys that share the cap. */
  capHeld(keyId: string, { slack: countsSlack } = { slack: true }): NanoUsd {
    const scopes = [this.#keys.get(keyId), this.#shared.get(keyId)];
    return nanoUsd(scopes.reduce((sum, scope) => sum + (scope?.held(countsSlack) ?? 0), 0));
  }

  /** The slack of all leases together. */
  get slack(): Allotment {
    return this.#account.slack;
  }

  /** Replaces what a lease has set aside. */
  lease({ keyId, caps }: Payer, before: LeasedAllotment, after: LeasedAllotment): void {
    for (const scope of this.#scopesOf(keyId)) scope.lease(before, after);
    for (const scope of this.#sharedBy(caps?.shared)) scope.lease(before, after);
  }

  /** Counts requests that leases admitted. Their ends are counted by `lease` and `used`. */
  admitted(keyId: string, requests: number, nowMs: number): void {
    if (requests > 0) for (const scope of this.#scopesOf(keyId)) scope.admitted(nowMs, requests);
  }

  /** Counts tokens that a lease's requests used in the end. */
  used(keyId: string, tokens: number, nowMs: number): void {
    if (tokens > 0) for (const scope of this.#scopesOf(keyId)) scope.used(nowMs, tokens);
  }

  admit({
    keyId,
    caps,
    admittedAtMs,
    ...request
  }: InFlight & Payer & Pick<HeldRequest, 'admittedAtMs'>): void {
    for (const scope of this.#scopesOf(keyId)) scope.admit(admittedAtMs, request);
    for (const scope of this.#sharedBy(caps?.shared)) scope.resize(NOTHING, request, request.background);
  }

  resize(
    { keyId, caps, background, ...before }: InFlight & Payer,
    after: Omit<InFlight, 'background'>,
  ): void {
    for (const scope of [...this.#scopesOf(keyId), ...this.#sharedBy(caps?.shared)])
      scope.resize(before, after, background);
  }

  /** @param usage what the request used in the end, and `endedAtMs` when it ended */
  end(
    { keyId, caps, ...request }: InFlight & Payer,
    { usage, endedAtMs }: Pick<HeldRequest, 'usage' | 'endedAtMs'>,
  ): void {
    const used = usage.promptTokens + usage.completionTokens;
    for (const scope of this.#scopesOf(keyId)) scope.end(endedAtMs!, request, used);
    for (const scope of this.#sharedBy(caps?.shared)) scope.resize(request, NOTHING, request.background);
  }

  /** Drops the counters of keys that did nothing for a minute, to free their memory. */
  forgetIdle(nowMs: number): void {
    for (const scopes of [this.#keys, this.#shared])
      for (const [keyId, scope] of scopes) if (scope.isIdle(nowMs)) scopes.delete(keyId);
  }

  #sharedBy(shared: SharedCaps | undefined): Scope[] {
    return sharingIds(shared).map((id) => {
      const scope = this.#shared.get(id) ?? new Scope();
      this.#shared.set(id, scope);
      return scope;
    });
  }

  #scopesOf(keyId: string): [Scope, Scope] {
    const key = this.#keys.get(keyId) ?? new Scope();
    this.#keys.set(keyId, key);
    return [key, this.#account];
  }
}

type Amounts = { readonly heldNanoUsd: number; readonly tokens: number };
const NOTHING: Amounts = { heldNanoUsd: 0, tokens: 0 };

/** The counters of one key, or of the whole account. */
class Scope {
  readonly #admitted = new MinuteSum();
  readonly #endedTokens = new MinuteSum();
  #inFlight = 0;
  #heldNanoUsd = 0;
  #tokens = 0;
  slack = NO_ALLOTMENT;

  load(nowMs: number, counted: { slack: boolean } = { slack: true }): Omit<Load, 'spentNanoUsd'> {
    this.#admitted.prune(nowMs);
    this.#endedTokens.prune(nowMs);
    const oldestMs = this.#admitted.oldestMs;
    const oldestEndMs = this.#endedTokens.oldestMs;
    // Slack counts like running requests: its lease may admit them within the minute without asking.
    const uncounted = counted.slack ? NO_ALLOTMENT : this.slack;
    return {
      requestsLastMinute: this.#admitted.sum + this.slack.requests - uncounted.requests,
      oldestRequestAgeMs: oldestMs === null ? 0 : nowMs - oldestMs,
      tokensLastMinute: this.#endedTokens.sum + this.#tokens - uncounted.tokens,
      tokensFreeInMs: oldestEndMs === null ? null : oldestEndMs + WINDOW_MS - nowMs,
      inFlight: this.#inFlight - uncounted.requests,
      heldNanoUsd: this.held(counted.slack),
    };
  }

  held(countsSlack: boolean): NanoUsd {
    return nanoUsd(this.#heldNanoUsd - (countsSlack ? 0 : this.slack.nanoUsd));
  }

  admit(atMs: number, request: InFlight): void {
    this.resize(NOTHING, request, request.background);
    if (request.background) return;
    this.#admitted.add(atMs, 1);
    this.#inFlight += 1;
  }

  resize(before: Amounts, after: Amounts, background: boolean): void {
    this.#heldNanoUsd += after.heldNanoUsd - before.heldNanoUsd;
    if (!background) this.#tokens += after.tokens - before.tokens;
  }

  lease(before: LeasedAllotment, after: LeasedAllotment): void {
    const more = subtractAllotments(after.allotment, before.allotment);
    this.#heldNanoUsd += more.nanoUsd;
    this.#tokens += more.tokens;
    this.#inFlight += more.requests;
    this.slack = addAllotments(this.slack, subtractAllotments(after.slack, before.slack));
  }

  admitted(atMs: number, requests: number): void {
    this.#admitted.add(atMs, requests);
  }

  used(atMs: number, tokens: number): void {
    this.#endedTokens.add(atMs, tokens);
  }

  end(atMs: number, request: InFlight, usedTokens: number): void {
    this.resize(request, NOTHING, request.background);
    if (request.background) return;
    this.#inFlight -= 1;
    if (usedTokens > 0) this.#endedTokens.add(atMs, usedTokens);
  }

  isIdle(nowMs: number): boolean {
    const { requestsLastMinute, tokensLastMinute, inFlight } = this.load(nowMs);
    // Background work holds credit without counting as in flight.
    return requestsLastMinute === 0 && tokensLastMinute === 0 && inFlight === 0 && this.#heldNanoUsd === 0;
  }
}

/** A sliding sum: the amounts that were added within the last minute. */
class MinuteSum {
  #times: number[] = [];
  #amounts: number[] = [];
  /** Index of the first amount that still counts. Those before it are cut off in bulk, not one by one. */
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
