/**
 * The window of tokens that a request's hold pays for beyond those used. It grows the hold ahead of need, so that a
 * stream seldom waits for the Wallet.
 */
import type { HoldBound } from '../../domain/hold.ts';
import { coveredUsage, nextHold, tokensLeft, WINDOW_TOKENS } from '../../domain/hold.ts';
import { type NanoUsd, nanoUsd } from '../../domain/money.ts';
import type { Usage } from '../../domain/usage.ts';
import { config, type Env } from '../../env.ts';
import type { Admission } from '../admission.ts';
import type { HoldChange } from './request-hold.ts';

/**
 * A first hold is larger than the prompt needs, because it takes each byte for a token. It is trimmed at the first usage,
 * but not when the account has more than this many times as much left: there it keeps no other request out, and the call
 * to the Wallet is saved.
 */
const AMPLE_FACTOR = 4;
/** A hold is renewed this often within `holdLeaseMs`, the time without renewal after which the Wallet takes it for orphaned. */
const RENEWALS_PER_LIFETIME = 3;

/** The node that answers, as far as the hold concerns it: it sends no more than the hold pays for. */
export interface SpendingNode {
  readonly nodeId: string;
  /** See `NodeCalls.extend`. */
  extend(heldNanoUsd: number): Promise<number | null>;
}

/** One for the whole request: the hold stays when the request moves to another node. */
export class HoldWindow {
  readonly #env: Env;
  readonly #admission: Admission;
  #heldNanoUsd: NanoUsd;
  #node: SpendingNode | null = null;
  /** The most that the node may spend. The hold is never less, so it shrinks only once the node has agreed. */
  #allowedNanoUsd: number;
  #boundBy: HoldBound | null = null;
  #renewedAtMs = Date.now();
  /** The resize under way; there is at most one. */
  #resizing: Promise<void> | null = null;
  /** The first hold has been trimmed, or need not be, because the account has ample credit left. */
  #isTrimSettled: boolean;

  constructor(env: Env, admission: Admission) {
    this.#env = env;
    this.#admission = admission;
    this.#heldNanoUsd = admission.heldNanoUsd;
    this.#allowedNanoUsd = admission.heldNanoUsd;
    this.#isTrimSettled = admission.availableNanoUsd > AMPLE_FACTOR * admission.heldNanoUsd;
  }

  get heldNanoUsd(): NanoUsd {
    return this.#heldNanoUsd;
  }

  /** Names the node that answers. It was told the hold with the request. */
  spentBy(node: SpendingNode): void {
    this.#node = node;
    this.#allowedNanoUsd = this.#heldNanoUsd;
  }

  /** The reason why the last resize fell short of the size that was wanted; null: it did not. */
  get boundBy(): HoldBound | null {
    return this.#boundBy;
  }

  /** Whether the hold pays for `usage` as it is. */
  coversNow(usage: Usage): boolean {
    return this.#left(usage) >= 0;
  }

  /** Whether the hold pays for `usage`; waits for a resize only when it does not yet. */
  async covers(usage: Usage): Promise<boolean> {
    if (this.#left(usage) >= 0) return true;
    await this.#resizing;
    // A second try, because one failed call to the Wallet must not end an answer.
    for (let attempt = 0; attempt < 2 && this.#left(usage) < 0; attempt++) await this.#resize(usage);
    return this.#left(usage) >= 0;
  }

  /** Starts a resize when the window runs low, the hold grows old, or the first usage shows that too much is held. */
  lookAhead(usage: Usage): void {
    if (this.#resizing) return;
    const isLow = this.isLow(usage);
    const isOld = Date.now() - this.#renewedAtMs > config(this.#env).holdLeaseMs / RENEWALS_PER_LIFETIME;
    // A hold that credit or a cap kept from growing is not resized again until it no longer covers the usage.
    if ((isLow && this.#boundBy === null) || isOld || !this.#isTrimSettled) void this.#resize(usage);
    this.#isTrimSettled = true;
  }

  /** Whether the hold pays for less than half a window more, and not for all that the answer may still have. */
  isLow(usage: Usage): boolean {
    const { maxTokens, choices } = this.#admission;
    const left = this.#left(usage);
    return left < (WINDOW_TOKENS * choices) / 2 && left < maxTokens * choices - usage.completionTokens;
  }

  /** The part of `usage` that the hold pays for: all of it, unless a node sent more than it was allowed. */
  paidPart(usage: Usage): Usage {
    return coveredUsage(usage, this.#heldNanoUsd, this.#admission.price);
  }

  /** Tells the node what it may spend. A call that fails is made up for by the next: the node says so while it waits. */
  async tell(): Promise<void> {
    // During a resize the hold may be about to shrink.
    await this.#resizing;
    await this.#allow();
  }

  /** Renews the hold before another node is tried, because the wait for a first token may be long. */
  async renew(): Promise<void> {
    // Two calls at once could be answered in another order than they were carried out in.
    await this.#resizing;
    await this.#set({ wantedNanoUsd: this.#heldNanoUsd, tokens: null, answer: null });
  }

  #left(usage: Usage): number {
    return tokensLeft(this.#heldNanoUsd, usage, this.#admission.price);
  }

  #resize(usage: Usage): Promise<void> {
    const { promptTokens, completionTokens } = usage;
    const { price, conversation } = this.#admission;
    return this.#set({
      wantedNanoUsd: nextHold(usage, price, this.#admission),
      tokens: promptTokens + completionTokens,
      answer: this.#node && { conversation, nodeId: this.#node.nodeId, promptTokens },
    });
  }

  async #set(change: HoldChange): Promise<void> {
    this.#resizing = this.#carryOut(change).finally(() => {
      this.#resizing = null;
    });
    await this.#resizing;
  }

  async #carryOut(change: HoldChange): Promise<void> {
    const wantedNanoUsd = nanoUsd(await this.#allowable(change.wantedNanoUsd));
    try {
      const resized = await this.#admission.hold.resize({ ...change, wantedNanoUsd });
      this.#renewedAtMs = Date.now();
      if (resized) this.#heldNanoUsd = resized.heldNanoUsd;
      this.#boundBy = resized?.boundBy ?? null;
    } catch {
      // Whether the call was carried out is unknown: the smaller of both amounts is surely held.
      this.#heldNanoUsd = nanoUsd(Math.min(this.#heldNanoUsd, wantedNanoUsd));
    }
    if (this.#heldNanoUsd > this.#allowedNanoUsd) {
      this.#allowedNanoUsd = this.#heldNanoUsd;
      await this.#allow();
    }
  }

  async #allow(): Promise<void> {
    const heldNanoUsd = this.#heldNanoUsd;
    const kept = await this.#node?.extend(heldNanoUsd).catch(() => null);
    if (kept != null) this.#allowedNanoUsd = Math.max(kept, heldNanoUsd);
  }

  /** The hold to ask for: less than the node may spend only if it agrees to spend less. */
  async #allowable(wantedNanoUsd: number): Promise<number> {
    if (this.#node === null || wantedNanoUsd >= this.#allowedNanoUsd) return wantedNanoUsd;
    const kept = await this.#node.extend(wantedNanoUsd).catch(() => null);
    // A node that did not answer may have agreed, or not.
    if (kept === null) return this.#allowedNanoUsd;
    this.#allowedNanoUsd = Math.max(kept, wantedNanoUsd);
    return this.#allowedNanoUsd;
  }
}
