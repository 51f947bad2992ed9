/** What callers say to a Wallet and what it answers. Plain data: it crosses a Durable Object call. */

import type { AlertThresholds } from './alert-thresholds.ts';
import type { ConversationHome } from './conversation.ts';
import type { Ending, HoldBound, HoldRange, RequestState } from './hold.ts';
import type { LeaseGrant, LeaseReport } from './lease.ts';
import type { Credit, Entry } from './ledger.ts';
import type { CapPeriod, LimitRefusal, Load, RateLimitState, ScopedLimits } from './limits.ts';
import type { NanoUsd } from './money.ts';
import type { Price } from './pricing.ts';
import type { Usage } from './usage.ts';

/** The cap of a short-lived token: what it may spend in all its life, exact like every cap. */
export interface TokenCap {
  readonly id: string;
  readonly capNanoUsd: NanoUsd;
}

export interface AdmitRequest {
  readonly requestId: string;
  readonly keyId: string;
  readonly modelId: string;
  readonly stream: boolean;
  readonly limits: ScopedLimits;
  /** prompt and first window, as far as can be told: counted against tokens/min until the request knows better */
  readonly tokens: number;
  /** in force at admission; holds for the whole request */
  readonly price: Price;
  readonly hold: HoldRange;
  /** work that can wait counts against caps alone */
  readonly background: boolean;
  /** absent: asked with a key */
  readonly token?: TokenCap | null;
  /** hash of what the request's conversation keeps as it grows; absent where nobody asks for its home */
  readonly conversation?: number;
}

export type AdmitRefusal =
  | { reason: 'insufficient_balance'; requiredNanoUsd: NanoUsd; availableNanoUsd: NanoUsd }
  | LimitRefusal
  | { reason: 'token_cap_reached'; capNanoUsd: NanoUsd; usedNanoUsd: NanoUsd };

export interface Admitted {
  readonly ok: true;
  readonly heldNanoUsd: NanoUsd;
  /** what is left beside the hold */
  readonly availableNanoUsd: NanoUsd;
  readonly rateLimit: RateLimitState;
  readonly home: ConversationHome | null;
}

export type AdmitResult =
  | Admitted
  | {
      ok: false;
      refusal: AdmitRefusal;
      rateLimit: RateLimitState;
      /** only the slack of leases is in the way: by then it may have been given back; null: it is not that */
      retryInMs: number | null;
    };

export interface ResizeRequest {
  readonly requestId: string;
  readonly wantedNanoUsd: NanoUsd;
  /** prompt and completion so far, for tokens/min; null: nothing new is known */
  readonly tokens: number | null;
  /** what is being answered and where: another turn may come before the end */
  readonly answer?: (ConversationHome & { readonly conversation: number }) | null;
}

export interface PostRequest {
  readonly requestId: string;
  readonly nodeId: string;
  readonly usage: Usage;
  readonly ending: Ending;
  readonly ttftMs: number | null;
  /** as at admission */
  readonly conversation?: number;
}

export interface Balance extends Credit {
  readonly heldNanoUsd: NanoUsd;
  /** granted + paid − held */
  readonly availableNanoUsd: NanoUsd;
  /** a refund or dispute took back what had been spent: the next top-up pays this off first */
  readonly owedNanoUsd: NanoUsd;
}

/** A request as the Wallet knows it, from admission to a day after its end. */
export interface RequestRecord {
  readonly requestId: string;
  readonly keyId: string;
  readonly modelId: string;
  readonly stream: boolean;
  readonly state: RequestState;
  readonly ending: Ending | null;
  readonly nodeId: string | null;
  readonly admittedAtMs: number;
  readonly endedAtMs: number | null;
  readonly heldNanoUsd: NanoUsd;
  readonly price: Price;
  /** billed usage */
  readonly usage: Usage;
  readonly chargeNanoUsd: NanoUsd;
  readonly entrySeq: number | null;
  readonly ttftMs: number | null;
}

/** What a node says it generated, as the Wallet takes it. */
export interface WalletReceipt {
  readonly requestId: string;
  readonly nodeId: string;
  readonly outcome: 'finished' | 'aborted' | 'failed' | 'lost';
  readonly usage: Usage;
  readonly ttftMs: number | null;
  /** what the edge admitted it by (lease.ts); null: by a hold of its own */
  readonly ticket: string | null;
}

/** A page of the ledger for the audit, taken in one instant. */
export interface WalletAuditPage {
  /** oldest first */
  readonly entries: Entry[];
  readonly headSeq: number;
  /** ledger balance at that instant */
  readonly balanceNanoUsd: NanoUsd;
  /** from this entry on D1 may not have been told yet */
  readonly unpublishedFromSeq: number;
}

export interface LedgerPage {
  /** newest first */
  readonly entries: readonly Entry[];
  /** `beforeSeq` of the next page; null: no more */
  readonly nextBeforeSeq: number | null;
}

/** Work that an idempotency key names; see gateway/sealed-answer.ts for how the two hashes are made. */
export interface IdempotentRequest {
  readonly lookup: string;
  readonly fingerprint: string;
  readonly requestId: string;
}

export type BeginResult =
  /** do the work under this request id */
  | { state: 'fresh' }
  | { state: 'running' | 'mismatch' | 'exhausted' }
  /** the answer of that request, sealed */
  | { state: 'replay'; requestId: string; parts: Uint8Array[] };

/**
 * An account's Wallet. Every call is idempotent by the id it names: the same hold twice is one hold,
 * the same grant twice is one grant.
 */
export interface WalletApi {
  /** Limits and money in one step. `insufficient_balance` and limits come back as values. */
  admit(request: AdmitRequest): Promise<AdmitResult>;
  /**
   * Sets a hold to `wantedNanoUsd`, or as near as balance and caps allow, and renews its lease.
   * @returns the hold as it now is, and what kept it below what was wanted; null when the request is no longer held
   */
  resize(request: ResizeRequest): Promise<{ heldNanoUsd: NanoUsd; boundBy: HoldBound | null } | null>;
  /** Bills usage, at most what is held, and gives the rest back. */
  post(request: PostRequest): Promise<RequestRecord | null>;
  /** Ends a request that costs nothing. */
  void(request: { requestId: string; nodeId: string | null; ending: Ending }): Promise<RequestRecord | null>;
  /** What an isolate did under its lease, and what it needs; see lease.ts. */
  lease(report: LeaseReport): Promise<LeaseGrant>;
  /**
   * Takes a node's word for what was generated: settles orphaned holds, writes off what nobody was billed.
   * @returns ids of requests of which an isolate will tell within a moment: their receipts are to come again
   */
  reconcile(receipts: readonly WalletReceipt[]): Promise<string[]>;
  /** Whether the node that was billed for a request has sent its receipt; null: not known, or not any more. */
  receiptMatched(requestId: string): Promise<boolean | null>;
  /** Before a request that carries an idempotency key. */
  beginIdempotent(work: IdempotentRequest): Promise<BeginResult>;
  /** Keeps the sealed answer for a day. */
  keepAnswer(work: IdempotentRequest, parts: Uint8Array[]): Promise<void>;
  /** No answer will be kept: the request was refused, or broke off. The next retry does the work again. */
  abandonIdempotent(work: IdempotentRequest): Promise<void>;
  grant(grant: { grantId: string; amountNanoUsd: NanoUsd }): Promise<Entry>;
  topUp(topUp: { orderId: string; amountNanoUsd: NanoUsd }): Promise<Entry>;
  /**
   * Takes credit back (a refund, a lost dispute: below zero) or gives it again (a dispute won).
   * The balance never goes below zero: what is not available is owed. What is given again cancels that debt first.
   * `uncollectedNanoUsd` is what came to the debt, below zero what was cancelled of it.
   */
  correct(correction: {
    reference: string;
    amountNanoUsd: NanoUsd;
  }): Promise<{ entry: Entry; uncollectedNanoUsd: NanoUsd }>;
  balance(): Promise<Balance>;
  /** null: not this account's, or older than a day (D1 has it then) */
  request(requestId: string): Promise<RequestRecord | null>;
  /** Part of a request's charge that was given back, because the same work had been paid before (Idempotency-Key). */
  creditedBack(requestId: string): Promise<NanoUsd>;
  /** For the audit. */
  auditPage(page: { afterSeq: number; limit: number }): Promise<WalletAuditPage>;
  ledger(page: { beforeSeq?: number; limit: number }): Promise<LedgerPage>;
  /** How much of its limits a key has used now, or (null) the account; spend is that of the cap's current period. */
  load(of: { keyId: string | null; capPeriod: CapPeriod }): Promise<Load>;
  /** What is left of the limits per minute, of key and account the one that has less. */
  rateLimit(of: { keyId: string; limits: ScopedLimits }): Promise<RateLimitState>;
  /** What a token has spent and holds. */
  tokenUse(tokenId: string): Promise<{ spentNanoUsd: NanoUsd; heldNanoUsd: NanoUsd }>;
  /** Changes what is watched, and looks at once. What is not named stays as it is. */
  setAlertThresholds(change: Partial<AlertThresholds>): Promise<void>;
}
