/**
 * What is known of a Tollgate when its laws are checked. Rows are as their tables have them, so that any harness fills
 * them with SELECT *; what a harness cannot know it leaves out, and the laws about it then say nothing.
 */
import type { PageRow } from './paged.ts';

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
  /** the request, account, entry, node or key that it is about */
  readonly about: string;
  readonly what: string;
}

/** Finds what breaks a law; silent about what the world does not tell. */
export type Law = (world: World) => Violation[];

export interface World {
  /** faults are off and time was given: what may lag behind before must be exact now */
  readonly final: boolean;
  readonly accounts: readonly AccountBooks[];
  readonly d1?: D1Books;
  readonly nodes?: readonly NodeWitness[];
  readonly clients?: readonly ClientWitness[];
  readonly dispatches?: readonly Dispatch[];
  /** orders as the payment provider itself knows them */
  readonly payments?: readonly ProviderPayment[];
  /** when keys were revoked, by the world's clock */
  readonly revocations?: readonly { readonly keyId: string; readonly atMs: number }[];
  /** what belongs to one account alone and may be in no other's answer and in no log */
  readonly secrets?: readonly { readonly accountId: string; readonly text: string }[];
  readonly logs?: readonly string[];
  /** requests made at the end, when the pool must serve again */
  readonly probes?: readonly { readonly what: string; readonly served: boolean }[];
  /** what observers found on the way, at each commit for example */
  readonly observed?: readonly Violation[];
  readonly bounds?: Partial<Bounds>;
}

export interface Bounds {
  /** how far two clocks of the world may be apart */
  readonly clockSkewMs: number;
  /** how long an isolate may use a price row or a key that D1 has changed */
  readonly staleMs: number;
  /** L3: from the end of a request for its client to the end of its hold */
  readonly settleMs: number;
  /** L7: tokens that may have left for the client and be billed to nobody when a process dies */
  readonly flushTokens: number;
  /** L6: requests that an isolate still has in hand while nothing of them can be seen from outside */
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

export interface AccountBooks {
  readonly accountId: string;
  readonly credit?: CreditRow;
  readonly entry?: readonly EntryRow[];
  readonly request?: readonly RequestRow[];
  readonly lease?: readonly LeaseRow[];
  /** whose requests are among those of `request` */
  readonly page?: readonly PageRow[];
  readonly receipt?: readonly ReceiptRow[];
  readonly key_spend?: readonly KeySpendRow[];
  readonly token_spend?: readonly TokenSpendRow[];
  readonly replay?: readonly ReplayRow[];
  /** rows that wait for D1 */
  readonly outbox?: number;
  /** how holds ended, from commit-witness.ts */
  readonly ends?: readonly HoldEnd[];
}

export interface CreditRow {
  readonly granted_nano_usd: number;
  readonly paid_nano_usd: number;
  readonly held_nano_usd: number;
  readonly head_seq: number;
  readonly head_hash: string;
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

/** What the Wallet and D1 both say of a request. */
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
  /** null: asked with a key */
  readonly token_id: string | null;
  readonly token_cap_nano_usd: number | null;
  readonly held_nano_usd: number;
  /** of one that a lease admitted: its hold when it ended */
  readonly drawn_nano_usd?: number | null;
  readonly cache_hit_nano_usd: number;
  readonly cache_miss_nano_usd: number;
  readonly output_nano_usd: number;
}

/** What an isolate has to admit requests from; their rows are written when they have ended. */
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

export interface KeySpendRow {
  readonly key_id: string;
  readonly day: number;
  readonly spent_nano_usd: number;
}

/** What a short-lived token has spent and holds, a part of its key's. */
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

export interface D1Books {
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

/** What a node's receipts said in an hour, by why somebody was not billed for it. */
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

// ---- witnesses ----

/** What the engine of a node itself counted. */
export interface NodeWitness {
  readonly nodeId: string;
  readonly counts: readonly EngineCount[];
}

/** One attempt of one request at one node. */
export interface EngineCount {
  readonly requestId: string;
  readonly completionTokens: number;
  readonly promptTokens?: number;
  /** still generating: nothing is owed for it yet */
  readonly running?: boolean;
  /** tokens of it that the engine may have told nobody of: its host died, or its counter broke. Default 0 */
  readonly tailTokensMax?: number;
}

/** whole: ended as it should · cut: ended for want of credit · error: said to have failed · broken: the connection went · left: the client went */
export type Ending = 'whole' | 'cut' | 'error' | 'broken' | 'left' | 'refused';

/** One request as its client saw it. */
export interface ClientWitness {
  readonly accountId: string;
  readonly keyId?: string;
  /** null: neither a head nor a node's dispatch told it */
  readonly requestId: string | null;
  /** null: the connection broke before a head */
  readonly status: number | null;
  readonly ending: Ending;
  /** completion tokens in what arrived */
  readonly deliveredTokens?: number;
  /** charge that the answer named */
  readonly costNanoUsd?: number | null;
  /** everything that arrived */
  readonly text?: string;
  readonly idempotencyKey?: string | null;
  /** the answer was another request's, sent again */
  readonly replayed?: boolean;
  /** by the world's clock */
  readonly sentAtMs?: number;
  readonly endedAtMs?: number;
}

/** One request sent to a node's engine. */
export interface Dispatch {
  readonly requestId: string;
  readonly accountId: string;
  readonly nodeId: string;
  readonly atMs: number;
  /** a byte of an answer had left for the client; blank lines are no part of an answer */
  readonly byteLeftBefore?: boolean;
  /** of the isolate at that instant, before this dispatch: requests at nodes, and how many of them wait as a retry */
  readonly active?: number;
  readonly retrying?: number;
  readonly cacheSalt?: string;
}

export interface ProviderPayment {
  readonly orderId: string;
  readonly accountId: string;
  readonly amountNanoUsd: number;
  /** the provider has the money and has said so, in an event that was accepted or will be sent again */
  readonly succeeded: boolean;
  /** what the provider took back of it so far */
  readonly reversedNanoUsd?: number;
}
