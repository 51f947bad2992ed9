/**
 * The world: everything known of a running Tollgate when its laws are checked. Rows have the columns of their tables, so a
 * harness fills them with SELECT *. It leaves out what it cannot know, and the laws then skip what is missing.
 */
export const LAWS = [
  'L1',
  'L2',
  'L3',
  'L4',
  'L5',
  'L6',
  'L7',
  'L8',
  'L9',
  'L10',
  'L11',
  'L12',
  'L13',
] as const;
export type LawName = (typeof LAWS)[number];

export interface Violation {
  readonly law: LawName;
  /** The request, account, entry, node or key that it is about. */
  readonly about: string;
  /** A sentence without its subject, which is `about`. */
  readonly what: string;
}

/** Finds the violations of a law. It skips what the world does not include. */
export type Law = (world: World) => Violation[];

export interface World {
  /** Faults are off and time has passed, so everything that may lag behind must be exact now. */
  readonly final: boolean;
  readonly accounts: readonly AccountRows[];
  readonly d1?: D1Rows;
  readonly nodes?: readonly NodeObservation[];
  readonly clients?: readonly ClientObservation[];
  readonly dispatches?: readonly Dispatch[];
  /** Orders as the payment provider knows them. */
  readonly payments?: readonly ProviderPayment[];
  /** When keys were revoked, by the world's clock. */
  readonly revocations?: readonly { readonly keyId: string; readonly atMs: number }[];
  /** Text of one account that must not be in another's answer or in a log. */
  readonly secrets?: readonly { readonly accountId: string; readonly text: string }[];
  readonly logs?: readonly string[];
  /** Requests made at the end, when the pool must serve again. */
  readonly probes?: readonly { readonly what: string; readonly served: boolean }[];
  /** Violations that observers found during the run, for example at a commit. */
  readonly observed?: readonly Violation[];
  readonly bounds?: Partial<Bounds>;
}

export interface Bounds {
  /** How far two clocks of the world may differ. */
  readonly clockSkewMs: number;
  /** How long an isolate may use a price row or a key that has changed in D1. */
  readonly staleMs: number;
  /** L3: time from the end of a request for its client to the end of its hold. */
  readonly settleMs: number;
  /** L7: tokens that may have left for the client without being billed when a process dies. */
  readonly flushTokens: number;
  /** L6: requests that an isolate still counts as active although they cannot be seen from outside. */
  readonly unseenActive: number;
}

export const DEFAULT_BOUNDS: Bounds = {
  clockSkewMs: 0,
  staleMs: 20_000,
  settleMs: Number.POSITIVE_INFINITY,
  flushTokens: 0,
  unseenActive: 0,
};

// ---- the Wallet of an account, table by table ----

export interface AccountRows {
  readonly accountId: string;
  readonly credit?: CreditRow;
  readonly entry?: readonly EntryRow[];
  /** The state that `entry` goes on from, when earlier entries were folded and are not known. */
  readonly start?: LedgerStart | undefined;
  readonly request?: readonly RequestRow[];
  readonly lease?: readonly LeaseRow[];
  /** Settlement groups, stored in the table `page`. Their requests are also among those of `request`. */
  readonly page?: readonly SettlementGroupRow[];
  readonly receipt?: readonly ReceiptRow[];
  readonly key_spend?: readonly KeySpendRow[];
  readonly token_spend?: readonly TokenSpendRow[];
  readonly replay?: readonly ReplayRow[];
  /** Number of rows that wait for D1. */
  readonly outbox?: number;
  /** How holds ended, from commit-observer.ts. */
  readonly ends?: readonly HoldEnd[];
}

export interface CreditRow {
  readonly granted_nano_usd: number;
  readonly paid_nano_usd: number;
  readonly held_nano_usd: number;
  readonly head_seq: number;
  readonly head_hash: string;
}

/** The ledger after the entry with number `seq`: that entry's hash, and the sums of both legs until then. */
export interface LedgerStart {
  readonly seq: number;
  readonly hash: string;
  readonly granted: number;
  readonly paid: number;
}

export interface EntryRow {
  readonly seq: number;
  readonly at_ms: number;
  readonly kind: string;
  readonly reference: string;
  readonly granted_nano_usd: number;
  readonly paid_nano_usd: number;
  readonly balance_nano_usd: number;
  readonly hash: string;
}

interface TokenColumns {
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
  readonly reasoning_tokens: number;
}

/** Columns of a request that the Wallet and D1 share. */
export interface EndedColumns extends TokenColumns {
  readonly request_id: string;
  readonly key_id: string;
  readonly model_id: string;
  readonly state: string;
  readonly ending: string | null;
  readonly node_id: string | null;
  readonly admitted_at_ms: number;
  readonly ended_at_ms: number | null;
  readonly price_id: string;
  readonly charge_nano_usd: number;
  readonly entry_seq: number | null;
}

export interface RequestRow extends EndedColumns {
  /** Null: it came with a key, not a token. */
  readonly token_id: string | null;
  readonly token_cap_nano_usd: number | null;
  readonly held_nano_usd: number;
  /** 0: the billed node's receipt has not come, or differs from the bill. For a request under a lease: absent. */
  readonly receipt?: string;
  /** For a request under a lease: its hold when it ended. */
  readonly drawn_nano_usd?: number | null;
  readonly cache_hit_nano_usd: number;
  readonly cache_miss_nano_usd: number;
  readonly output_nano_usd: number;
}

/** A settlement group: a row of the Wallet's table `page`. */
export interface SettlementGroupRow {
  readonly at_ms: number;
  readonly key_id: string;
  readonly model_id: string;
  readonly price_id: string;
  readonly cache_hit_nano_usd: number;
  readonly cache_miss_nano_usd: number;
  readonly output_nano_usd: number;
  readonly entry_seq: number | null;
  /** JSON: the columns that each request has of its own. */
  readonly requests: string;
  /** One character for each request; 0: its node's receipt has not arrived. */
  readonly proofs: string;
}

/** A lease, from which an isolate admits requests; their rows are written when they have ended. */
export interface LeaseRow {
  readonly lease_id: string;
  readonly held_nano_usd: number;
  readonly ended_at_ms: number | null;
}

export interface ReceiptRow extends TokenColumns {
  readonly request_id: string;
  readonly node_id: string;
  readonly outcome: string;
  readonly settled: number;
}

/** A row of the Wallet's view `spend`. */
export interface KeySpendRow {
  readonly key_id: string;
  readonly day: number;
  readonly spent_nano_usd: number;
}

/** The spend and the holds of a short-lived token; both are included in its key's. */
export interface TokenSpendRow {
  readonly token_id: string;
  readonly spent_nano_usd: number;
  readonly held_nano_usd: number;
}

export interface ReplayRow {
  readonly lookup: string;
  readonly request_id: string;
  readonly runs: number;
  readonly answer: string;
  readonly paid_nano_usd: number;
}

/** One change of a request's state, with what was held before and after it. */
export interface HoldEnd {
  readonly request_id: string;
  readonly from_state: string;
  readonly to_state: string;
  readonly held_before_nano_usd: number;
  readonly held_after_nano_usd: number;
  readonly charge_nano_usd: number;
}

// ---- D1 ----

export interface D1Rows {
  readonly usage_event?: readonly UsageEventRow[];
  readonly usage_hour?: readonly UsageHourRow[];
  readonly node_hour?: readonly NodeHourRow[];
  readonly ledger_entry?: readonly (EntryRow & { readonly account_id: string })[];
  readonly node_receipt?: readonly NodeReceiptRow[];
  readonly receipt_hour?: readonly ReceiptHourRow[];
  readonly price?: readonly PriceRow[];
  readonly payment_order?: readonly PaymentOrderRow[];
  readonly payment_event?: readonly PaymentEventRow[];
  readonly payment_correction?: readonly PaymentCorrectionRow[];
  readonly api_key?: readonly ApiKeyRow[];
}

export interface UsageEventRow extends EndedColumns {
  readonly account_id: string;
  readonly granted_nano_usd: number;
}

export interface UsageHourRow {
  readonly account_id: string;
  readonly hour_ms: number;
  readonly key_id: string;
  readonly model_id: string;
  readonly requests: number;
  readonly cached_tokens: number;
  readonly uncached_tokens: number;
  readonly reasoning_tokens: number;
  readonly answer_tokens: number;
  readonly charge_nano_usd: number;
  readonly cache_saving_nano_usd: number;
}

/** The state of an account's projection; `open_sums` are sums that are not in their tables yet. */
export interface ProjectionRow {
  readonly account_id: string;
  readonly told_seq: number;
  readonly open_sums: string | null;
}

export interface NodeHourRow {
  readonly node_id: string;
  readonly hour_ms: number;
  readonly requests: number;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
  readonly charge_nano_usd: number;
  readonly granted_nano_usd: number;
}

export interface NodeReceiptRow extends TokenColumns {
  readonly request_id: string;
  readonly node_id: string;
  readonly account_id: string;
  readonly outcome: string;
  readonly written_off_prompt_tokens: number;
  readonly written_off_completion_tokens: number;
  readonly write_off_reason: string | null;
}

/** Sums of a node's receipts in an hour, by write-off reason; '' is for receipts without one. */
export interface ReceiptHourRow {
  readonly node_id: string;
  readonly hour_ms: number;
  readonly reason: string;
  readonly receipts: number;
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
}

export interface PriceRow {
  readonly id: string;
  readonly model_id: string;
  readonly tariff?: string;
  readonly from_ms: number;
  readonly to_ms: number | null;
  readonly daily_from_minute: number | null;
  readonly daily_to_minute: number | null;
  readonly cache_hit_nano_usd: number;
  readonly cache_miss_nano_usd: number;
  readonly output_nano_usd: number;
}

export interface PaymentOrderRow {
  readonly id: string;
  readonly account_id: string;
  readonly amount_nano_usd: number;
  readonly state: string;
}

export interface PaymentEventRow {
  readonly provider: string;
  readonly event_id: string;
  readonly order_id: string;
}

export interface PaymentCorrectionRow {
  readonly order_id: string;
  readonly seq: number;
  readonly amount_nano_usd: number;
  readonly uncollected_nano_usd: number | null;
}

export interface ApiKeyRow {
  readonly id: string;
  readonly account_id: string;
  readonly revoked_at_ms: number | null;
}

// ---- observations from outside ----

/** The counts of a node's engine itself. */
export interface NodeObservation {
  readonly nodeId: string;
  readonly counts: readonly EngineCount[];
}

/** One attempt of one request at one node. */
export interface EngineCount {
  readonly requestId: string;
  readonly completionTokens: number;
  readonly promptTokens?: number;
  /** Still generating, so it is not compared yet. */
  readonly running?: boolean;
  /** Tokens that the engine may never have reported, because its host died or its counter broke. Default 0. */
  readonly tailTokensMax?: number;
}

/**
 * whole: completed · cut: ended because credit ran out · error: the answer reported a failure · broken: the connection
 * broke · left: the client disconnected · refused: an HTTP error
 */
export type Ending = 'whole' | 'cut' | 'error' | 'broken' | 'left' | 'refused';

/** One request as its client saw it. */
export interface ClientObservation {
  readonly accountId: string;
  readonly keyId?: string;
  /** Null: neither a response header nor a node's dispatch gave it. */
  readonly requestId: string | null;
  /** Null: the connection broke before the response headers. */
  readonly status: number | null;
  readonly ending: Ending;
  /** Completion tokens that arrived. */
  readonly deliveredTokens?: number;
  /** Charge that the answer named. */
  readonly costNanoUsd?: number | null;
  /** Everything that arrived. */
  readonly text?: string;
  readonly idempotencyKey?: string | null;
  /** The answer was another request's, replayed. */
  readonly replayed?: boolean;
  /** By the world's clock. */
  readonly sentAtMs?: number;
  readonly endedAtMs?: number;
}

/** One request sent to a node's engine. */
export interface Dispatch {
  readonly requestId: string;
  readonly accountId: string;
  readonly nodeId: string;
  readonly atMs: number;
  /** A byte of an answer had left for the client before. Keep-alive lines are no part of an answer. */
  readonly byteLeftBefore?: boolean;
  /** Requests that the isolate had at nodes just before this dispatch; `retrying` counts those that wait as a retry. */
  readonly active?: number;
  readonly retrying?: number;
  readonly cacheSalt?: string;
}

export interface ProviderPayment {
  readonly orderId: string;
  readonly accountId: string;
  readonly amountNanoUsd: number;
  /** The provider has the money and has sent an event, which was accepted or will be sent again. */
  readonly succeeded: boolean;
  /** The amount that the provider has taken back so far. */
  readonly reversedNanoUsd?: number;
}
