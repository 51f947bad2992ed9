/**
 * The interface of a Wallet, an account's Durable Object. Requests and results
 * are plain data, as they cross a Durable Object call.
 */
import type { AlertThresholds } from './alert-thresholds.ts';
import type { ConversationHome } from './conversation.ts';
import type { Ending, HoldBound, HoldRange, RequestState } from './hold.ts';
import type { LeaseGrant, LeaseReport } from './lease.ts';
import type { Credit, Entry, LedgerState } from './ledger.ts';
import type { CapPeriod, LimitRefusal, Load, RateLimitState, ScopedLimits } from './limits.ts';
import type { NanoUsd } from './money.ts';
import type { Price } from './pricing.ts';
import type { Usage } from './usage.ts';

/** The cap of a short-lived token: the most it may spend in its whole life, exact like every cap. */
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
  /** Estimate of the prompt and a first window of output; it counts against tokens/min until the usage is known. */
  readonly tokens: number;
  /** The price in force at admission. It applies to the whole request. */
  readonly price: Price;
  readonly hold: HoldRange;
  /** Background work counts against caps only, not against rate limits. */
  readonly background: boolean;
  /** The token that the request came with; absent: it came with a key. */
  readonly token?: TokenCap | null;
  /** Hash of the part of the conversation that stays as it grows; absent when the home is not needed. */
  readonly conversation?: number;
}

export type AdmitRefusal =
  | { reason: 'insufficient_balance'; requiredNanoUsd: NanoUsd; availableNanoUsd: NanoUsd }
  | LimitRefusal
  | { reason: 'token_cap_reached'; capNanoUsd: NanoUsd; usedNanoUsd: NanoUsd };

export interface Admitted {
  readonly ok: true;
  readonly heldNanoUsd: NanoUsd;
  /** Credit that the account could still hold beside it, within the balance and every cap. */
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
      /** Set when only slack of leases or other requests' holds are in the way, which may have come back by then; null otherwise. */
      retryInMs: number | null;
    };

export interface ResizeRequest {
  readonly requestId: string;
  readonly wantedNanoUsd: NanoUsd;
  /** Prompt and completion so far, for tokens/min; null: nothing new is known. */
  readonly tokens: number | null;
  /** The conversation and the node that is answering it: its next turn may come before this request ends. */
  readonly answer?: (ConversationHome & { readonly conversation: number }) | null;
}

export interface PostRequest {
  readonly requestId: string;
  readonly nodeId: string;
  readonly usage: Usage;
  readonly ending: Ending;
  readonly ttftMs: number | null;
  /** As at admission. */
  readonly conversation?: number;
}

export interface Balance extends Credit {
  readonly heldNanoUsd: NanoUsd;
  /** Granted + paid − held. */
  readonly availableNanoUsd: NanoUsd;
  /** Credit that a refund or dispute took back after it was spent. The next top-up pays this off first. */
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
  /** Billed usage. */
  readonly usage: Usage;
  readonly chargeNanoUsd: NanoUsd;
  readonly entrySeq: number | null;
  readonly ttftMs: number | null;
}

/** A node's receipt for one attempt, as the Wallet takes it. */
export interface WalletReceipt {
  readonly requestId: string;
  readonly nodeId: string;
  readonly outcome: 'finished' | 'aborted' | 'failed' | 'lost';
  readonly usage: Usage;
  readonly ttftMs: number | null;
  /** Tokens that the engine generated past max_tokens, beside those of `usage`; absent: none. */
  readonly overrunTokens?: number | undefined;
  /** Names the lease that admitted the request (lease.ts); null: it had a hold of its own. */
  readonly ticket: string | null;
}

/** A page of the ledger for the audit, read at one instant. */
export interface WalletAuditPage {
  /** The state that the stored entries go on from: entries up to its number were folded, and D1 alone has them. */
  readonly opening: LedgerState;
  /** Oldest first. */
  readonly entries: Entry[];
  readonly headSeq: number;
  /** Ledger balance at that instant. */
  readonly balanceNanoUsd: NanoUsd;
  /** From this entry on, D1 may lag behind. */
  readonly unpublishedFromSeq: number;
}

export interface LedgerPage {
  /** Newest first. */
  readonly entries: readonly Entry[];
  /** `beforeSeq` of the next page; null: this is the last one. */
  readonly nextBeforeSeq: number | null;
}

/** Work that an idempotency key names; see gateway/idempotency/sealed-response.ts for how the two hashes are made. */
export interface IdempotentRequest {
  readonly lookup: string;
  readonly fingerprint: string;
  readonly requestId: string;
  /** The same two hashes under other peppers, while KEY_PEPPER is rotated. Default: none. */
  readonly others?: readonly { readonly lookup: string; readonly fingerprint: string }[];
}

export type BeginResult =
  /** Do the work under this request id. */
  | { state: 'fresh' }
  | { state: 'running' | 'mismatch' | 'exhausted' }
  /** The sealed answer of that request. */
  | { state: 'replay'; requestId: string; parts: Uint8Array[] };

/**
 * An account's Wallet. Every call is idempotent by the id that it names: the same hold twice is one hold, and the same
 * grant twice is one grant.
 */
export interface WalletApi {
  /** Checks limits and balance, and makes the hold, in one step. Refusals come back as values. */
  admit(request: AdmitRequest): Promise<AdmitResult>;
  /**
   * Sets a hold to `wantedNanoUsd`, or as near as balance and caps allow, and renews its expiry.
   * @returns the new hold, and what kept it below the wanted size; null when the request is no longer held
   */
  resize(request: ResizeRequest): Promise<{ heldNanoUsd: NanoUsd; boundBy: HoldBound | null } | null>;
  /** Bills usage, at most what is held, and releases the rest. */
  post(request: PostRequest): Promise<RequestRecord | null>;
  /** Ends a request that costs nothing. */
  void(request: { requestId: string; nodeId: string | null; ending: Ending }): Promise<RequestRecord | null>;
  /** Takes an isolate's report about its lease, and grants what it needs; see lease.ts. */
  lease(report: LeaseReport): Promise<LeaseGrant>;
  /**
   * Takes nodes' receipts: settles orphaned holds by them, and writes off tokens that were billed to no account.
   * @returns ids of requests that a living isolate will report shortly; their receipts must be sent again
   */
  reconcile(receipts: readonly WalletReceipt[]): Promise<string[]>;
  /** Whether the receipt of the billed node has arrived; null: the request is not known (any more). */
  receiptMatched(requestId: string): Promise<boolean | null>;
  /** Called before a request with an idempotency key. */
  beginIdempotent(work: IdempotentRequest): Promise<BeginResult>;
  /** Keeps the sealed answer for a day. */
  keepAnswer(work: IdempotentRequest, parts: Uint8Array[]): Promise<void>;
  /** Reports that no answer will be kept: the request was refused or broke off. The next retry does the work again. */
  abandonIdempotent(work: IdempotentRequest): Promise<void>;
  grant(grant: { grantId: string; amountNanoUsd: NanoUsd }): Promise<Entry>;
  topUp(topUp: { orderId: string; amountNanoUsd: NanoUsd }): Promise<Entry>;
  /**
   * Takes credit back (a refund or a lost dispute, a negative amount) or returns it (a dispute won).
   * The balance never goes below zero: credit that is not available is owed. Credit that is returned cancels that debt
   * first. `uncollectedNanoUsd` is the amount added to the debt; it is negative for an amount cancelled.
   */
  correct(correction: {
    reference: string;
    amountNanoUsd: NanoUsd;
  }): Promise<{ entry: Entry; uncollectedNanoUsd: NanoUsd }>;
  balance(): Promise<Balance>;
  /** Null: the request is not this account's, or ended more than a day ago (then D1 has it). */
  request(requestId: string): Promise<RequestRecord | null>;
  /** The part of a request's charge that was credited back because the same work had been paid before (Idempotency-Key). */
  creditedBack(requestId: string): Promise<NanoUsd>;
  /** A page of entries for the audit (ledger-audit.ts). */
  auditPage(page: { afterSeq: number; limit: number }): Promise<WalletAuditPage>;
  ledger(page: { beforeSeq?: number; limit: number }): Promise<LedgerPage>;
  /**
   * How much a key has used of its limits, or with null the account. Spend is that of the cap's current period. Spend and
   * holds are those that count against the key's cap, so other keys that share it are included.
   * @param of.lineageId the first key of the rotations that led to this one; absent or null: it is the first
   */
  load(of: { keyId: string | null; capPeriod: CapPeriod; lineageId?: string | null }): Promise<Load>;
  /** The rest of the per-minute limits: the key's or the account's, whichever is less. */
  rateLimit(of: { keyId: string; limits: ScopedLimits }): Promise<RateLimitState>;
  /** The node that gave a conversation's last answer; null: unknown. */
  home(conversation: number): Promise<ConversationHome | null>;
  /** The spend and the holds of a short-lived token. */
  tokenUse(tokenId: string): Promise<{ spentNanoUsd: NanoUsd; heldNanoUsd: NanoUsd }>;
  /** Changes the named alert thresholds and checks them at once. */
  setAlertThresholds(change: Partial<AlertThresholds>): Promise<void>;
}
