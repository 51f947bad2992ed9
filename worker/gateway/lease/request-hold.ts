/** A request's hold as the edge sees it: it grows ahead of need, so that the stream does not wait for the Wallet. */

import type { HoldBound } from '../../domain/hold.ts';
import { nextHold, tokensLeft, WINDOW_TOKENS } from '../../domain/hold.ts';
import { type NanoUsd, nanoUsd } from '../../domain/money.ts';
import type { Usage } from '../../domain/usage.ts';
import type { ResizeRequest } from '../../domain/wallet.ts';
import { config, type Env } from '../../env.ts';
import type { Admission } from '../admit.ts';
import { leaseOf } from './registry.ts';

/** Beside a balance this much larger than the hold, an exact hold frees nothing that anybody misses. */
const AMPLE_FACTOR = 4;

/** One for the whole request: a request keeps its hold when it moves to another node. */
export class Purse {
  readonly #env: Env;
  readonly #admission: Admission;
  #heldNanoUsd: NanoUsd;
  #boundBy: HoldBound | null = null;
  #renewedAtMs = Date.now();
  /** at most one call is under way */
  #resizing: Promise<void> | null = null;
  #trimmed: boolean;

  constructor(env: Env, admission: Admission) {
    this.#env = env;
    this.#admission = admission;
    this.#heldNanoUsd = admission.heldNanoUsd;
    this.#trimmed = admission.availableNanoUsd > AMPLE_FACTOR * admission.heldNanoUsd;
  }

  /** What kept the last resize below what was wanted; null: nothing did. */
  get boundBy(): HoldBound | null {
    return this.#boundBy;
  }

  /** Whether the hold pays for `usage` as it is. */
  coversNow(usage: Usage): boolean {
    return this.#left(usage) >= 0;
  }

  /** Whether the hold pays for `usage`; waits for more only when it must. */
  async covers(usage: Usage, nodeId: string): Promise<boolean> {
    if (this.#left(usage) >= 0) return true;
    await this.#resizing;
    // once more when the Wallet could not be reached: a stumble must not end an answer
    for (let attempt = 0; attempt < 2 && this.#left(usage) < 0; attempt++) await this.#resize(usage, nodeId);
    return this.#left(usage) >= 0;
  }

  /** Starts a resize when the window runs low, the lease grows old, or the first usage shows that too much is held. */
  lookAhead(usage: Usage, nodeId: string): void {
    if (this.#resizing) return;
    const { maxTokens, choices } = this.#admission;
    const left = this.#left(usage);
    const low = left < (WINDOW_TOKENS * choices) / 2 && left < maxTokens * choices - usage.completionTokens;
    const old = Date.now() - this.#renewedAtMs > config(this.#env).holdLeaseMs / 3;
    // asking again ahead of need is of no use to a hold that is as large as it can be
    if ((low && this.#boundBy === null) || old || !this.#trimmed) void this.#resize(usage, nodeId);
    this.#trimmed = true;
  }

  /** Renews the lease before another node is tried: the wait for its first token is long. */
  async renew(): Promise<void> {
    // two calls at once could be answered in another order than they were carried out
    await this.#resizing;
    await this.#set(this.#heldNanoUsd, null, null);
  }

  #left(usage: Usage): number {
    return tokensLeft(this.#heldNanoUsd, usage, this.#admission.price);
  }

  async #resize(usage: Usage, nodeId: string): Promise<void> {
    const { promptTokens, completionTokens } = usage;
    await this.#set(
      nextHold(usage, this.#admission.price, this.#admission),
      promptTokens + completionTokens,
      { conversation: this.#admission.conversation, nodeId, promptTokens },
    );
  }

  async #set(wantedNanoUsd: NanoUsd, tokens: number | null, answer: ResizeRequest['answer']): Promise<void> {
    const { requestId, accountId } = this.#admission;
    const lease = leaseOf(requestId);
    const resized = lease
      ? lease.resize(requestId, { wantedNanoUsd, tokens, answer })
      : this.#env.WALLET.getByName(accountId).resize({ requestId, wantedNanoUsd, tokens, answer });
    this.#resizing = resized
      .then((resized) => {
        this.#renewedAtMs = Date.now();
        if (resized) this.#heldNanoUsd = resized.heldNanoUsd;
        this.#boundBy = resized?.boundBy ?? null;
      })
      // carried out or not: the smaller of both is surely held, and the next need asks again
      .catch(() => {
        this.#heldNanoUsd = nanoUsd(Math.min(this.#heldNanoUsd, wantedNanoUsd));
      })
      .finally(() => {
        this.#resizing = null;
      });
    await this.#resizing;
  }
}
