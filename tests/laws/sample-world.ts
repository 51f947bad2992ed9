/**
 * A small world that breaks no law, for the checker's own test. It has a grant, a top-up, a complete answer, a request
 * that no node answered, and one whose node died.
 */
import { createHash } from 'node:crypto';
import { GENESIS_HASH, hashInput } from '../../worker/domain/ledger.ts';
import type { EndedColumns, EntryRow, NodeHourRow, NodeReceiptRow, RequestRow, World } from './world.ts';

/** Worlds for tests are changed in place: every level loses its `readonly`. */
export type Mutable<T> = T extends (infer Item)[] | readonly (infer Item)[]
  ? Mutable<Item>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Mutable<T[Key]> }
    : T;
type Complete<T> = Mutable<{ [Key in keyof T]-?: NonNullable<T[Key]> }>;
type Wallet = Complete<Omit<World['accounts'][number], 'start'>>;
type Sample = Omit<Complete<World>, 'accounts' | 'd1'> & {
  accounts: [Wallet, ...Wallet[]];
  d1: Complete<NonNullable<World['d1']>>;
};

export const ACCOUNT = 'acct_1';
const AT_MS = Date.UTC(2026, 10, 20, 12);
const HOUR_MS = AT_MS - (AT_MS % 3_600_000);
const PRICE = { cache_hit_nano_usd: 140, cache_miss_nano_usd: 550, output_nano_usd: 2_190 };

export function soundWorld(): Sample {
  const entry = chained([
    { kind: 'grant', reference: 'trial', granted_nano_usd: 1_000_000, paid_nano_usd: 0 },
    { kind: 'top_up', reference: 'order_1', granted_nano_usd: 0, paid_nano_usd: 5_000_000 },
    { kind: 'charge', reference: 'req_1', granted_nano_usd: -28_800, paid_nano_usd: 0 },
    { kind: 'charge', reference: 'req_3', granted_nano_usd: -9_670, paid_nano_usd: 0 },
    { kind: 'correction', reference: 'order_1/1', granted_nano_usd: 0, paid_nano_usd: -1_000_000 },
  ]);
  const request = [
    ended(
      'req_1',
      { state: 'posted', ending: 'finished', node_id: 'node_1', entry_seq: 3 },
      [20, 10, 10, 28_800],
    ),
    ended('req_2', { state: 'voided', ending: 'not_served', node_id: null, entry_seq: null }, [0, 0, 0, 0]),
    ended('req_3', { state: 'expired', ending: 'settled_by_receipt', node_id: 'node_2', entry_seq: 4 }, [
      10,
      5,
      3,
      9_670 + 350,
    ]),
  ];
  // req_3 has 5 cached, 5 uncached and 3 output tokens.
  request[0] = { ...request[0]!, token_id: 'tok_1', token_cap_nano_usd: 30_000 };
  request[2] = { ...request[2]!, charge_nano_usd: 5 * 140 + 5 * 550 + 3 * 2_190 };
  entry[3] = { ...entry[3]!, granted_nano_usd: -request[2]!.charge_nano_usd };
  const rows = chained(entry);
  const head = rows.at(-1)!;
  const charge = request.reduce((sum, row) => sum + row.charge_nano_usd, 0);
  return {
    final: true,
    accounts: [
      {
        accountId: ACCOUNT,
        credit: {
          granted_nano_usd: 1_000_000 - charge,
          paid_nano_usd: 4_000_000,
          held_nano_usd: 0,
          head_seq: head.seq,
          head_hash: head.hash,
        },
        entry: rows,
        request,
        lease: [{ lease_id: 'lease_1', held_nano_usd: 0, ended_at_ms: AT_MS }],
        page: [],
        receipt: [
          { ...receipt('req_1', 'node_1', [20, 10], null), settled: 1 },
          { ...receipt('req_3', 'node_1', [10, 2], 'retried_elsewhere'), settled: 1 },
        ],
        key_spend: [{ key_id: 'key_1', day: 1, spent_nano_usd: charge }],
        token_spend: [{ token_id: 'tok_1', spent_nano_usd: 28_800, held_nano_usd: 0 }],
        replay: [],
        outbox: 0,
        ends: request.map((row) => ({
          request_id: row.request_id,
          from_state: 'held',
          to_state: row.state,
          held_before_nano_usd: 50_000,
          held_after_nano_usd: 0,
          charge_nano_usd: row.charge_nano_usd,
        })),
      },
    ],
    d1: {
      usage_event: request.map(({ held_nano_usd: _, ...row }) => ({
        ...row,
        account_id: ACCOUNT,
        granted_nano_usd: row.charge_nano_usd,
      })),
      usage_hour: [
        {
          account_id: ACCOUNT,
          hour_ms: HOUR_MS,
          key_id: 'key_1',
          model_id: 'model',
          requests: 3,
          cached_tokens: 15,
          uncached_tokens: 15,
          reasoning_tokens: 0,
          answer_tokens: 13,
          charge_nano_usd: charge,
          cache_saving_nano_usd: 15 * (PRICE.cache_miss_nano_usd - PRICE.cache_hit_nano_usd),
        },
      ],
      node_hour: request.filter(({ node_id }) => node_id !== null).map(servedHour),
      ledger_entry: rows.map((row) => ({ ...row, account_id: ACCOUNT })),
      node_receipt: [
        receipt('req_1', 'node_1', [20, 10], null),
        receipt('req_3', 'node_1', [10, 2], 'retried_elsewhere'),
      ],
      receipt_hour: [
        { node_id: 'node_1', hour_ms: HOUR_MS, reason: '', receipts: 1 },
        { node_id: 'node_1', hour_ms: HOUR_MS, reason: 'retried_elsewhere', receipts: 1 },
      ],
      price: [
        {
          id: 'price_1',
          model_id: 'model',
          from_ms: 0,
          to_ms: null,
          daily_from_minute: null,
          daily_to_minute: null,
          ...PRICE,
        },
        {
          id: 'price_2',
          model_id: 'model',
          from_ms: AT_MS + 3_600_000,
          to_ms: null,
          daily_from_minute: null,
          daily_to_minute: null,
          ...PRICE,
        },
      ],
      payment_order: [{ id: 'order_1', account_id: ACCOUNT, amount_nano_usd: 5_000_000, state: 'paid' }],
      payment_event: [{ provider: 'sandbox', event_id: 'evt_1', order_id: 'order_1' }],
      payment_correction: [
        { order_id: 'order_1', seq: 1, amount_nano_usd: -1_000_000, uncollected_nano_usd: 0 },
      ],
      api_key: [
        { id: 'key_1', account_id: ACCOUNT, revoked_at_ms: null },
        { id: 'key_2', account_id: ACCOUNT, revoked_at_ms: AT_MS - 60_000 },
      ],
    },
    nodes: [
      {
        nodeId: 'node_1',
        counts: [
          { requestId: 'req_1', completionTokens: 10, promptTokens: 20, running: false, tailTokensMax: 0 },
          { requestId: 'req_3', completionTokens: 2, promptTokens: 10, running: false, tailTokensMax: 0 },
        ],
      },
      {
        nodeId: 'node_2',
        counts: [
          { requestId: 'req_3', completionTokens: 5, promptTokens: 10, running: false, tailTokensMax: 2 },
        ],
      },
    ],
    clients: [
      client('req_1', { status: 200, ending: 'whole', deliveredTokens: 10, costNanoUsd: 28_800 }),
      client('req_2', { status: 503, ending: 'refused', deliveredTokens: 0, costNanoUsd: null }),
      client('req_3', { status: 200, ending: 'broken', deliveredTokens: 3, costNanoUsd: null }),
    ],
    dispatches: [
      dispatch('req_1', 'node_1', 0),
      dispatch('req_3', 'node_1', 0),
      dispatch('req_3', 'node_2', 1),
    ],
    payments: [
      {
        orderId: 'order_1',
        accountId: ACCOUNT,
        amountNanoUsd: 5_000_000,
        succeeded: true,
        reversedNanoUsd: 1_000_000,
      },
    ],
    revocations: [{ keyId: 'key_2', atMs: AT_MS - 60_000 }],
    secrets: [
      { accountId: ACCOUNT, text: 'marker-one' },
      { accountId: 'acct_2', text: 'marker-two' },
    ],
    logs: ['{"event":"settle_failed","requestId":"req_1"}'],
    probes: [{ what: 'a request at the end', served: true }],
    observed: [],
    bounds: { clockSkewMs: 0, staleMs: 20_000, settleMs: 60_000, flushTokens: 0, unseenActive: 0 },
  };
}

type Legs = Pick<EntryRow, 'kind' | 'reference' | 'granted_nano_usd' | 'paid_nano_usd'>;

/** Makes entries of these legs: it adds their numbers, balances and hashes. */
export function chained(legs: readonly Legs[]): Mutable<EntryRow>[] {
  let hash = GENESIS_HASH;
  let balance = 0;
  return legs.map(({ kind, reference, granted_nano_usd, paid_nano_usd }, index) => {
    balance += granted_nano_usd + paid_nano_usd;
    const row = { seq: index + 1, at_ms: AT_MS, kind, reference, granted_nano_usd, paid_nano_usd };
    const body = {
      seq: row.seq,
      atMs: row.at_ms,
      kind,
      reference,
      grantedNanoUsd: granted_nano_usd,
      paidNanoUsd: paid_nano_usd,
      balanceNanoUsd: balance,
    } as Parameters<typeof hashInput>[1];
    hash = createHash('sha256').update(hashInput(hash, body)).digest('hex');
    return { ...row, balance_nano_usd: balance, hash };
  });
}

type RequestEnd = Pick<EndedColumns, 'state' | 'ending' | 'node_id' | 'entry_seq'>;

function ended(
  request_id: string,
  end: RequestEnd,
  [prompt, cached, completion, charge]: number[],
): Mutable<RequestRow> {
  return {
    request_id,
    ...end,
    key_id: 'key_1',
    model_id: 'model',
    admitted_at_ms: AT_MS,
    ended_at_ms: AT_MS + 5_000,
    price_id: 'price_1',
    ...PRICE,
    held_nano_usd: 0,
    token_id: null,
    token_cap_nano_usd: null,
    prompt_tokens: prompt!,
    cached_tokens: cached!,
    completion_tokens: completion!,
    reasoning_tokens: 0,
    charge_nano_usd: charge!,
  };
}

/** The hour of a node that served only this request in it. */
function servedHour(row: RequestRow): Mutable<NodeHourRow> {
  return {
    node_id: row.node_id!,
    hour_ms: HOUR_MS,
    requests: 1,
    prompt_tokens: row.prompt_tokens,
    cached_tokens: row.cached_tokens,
    completion_tokens: row.completion_tokens,
    charge_nano_usd: row.charge_nano_usd,
    granted_nano_usd: row.charge_nano_usd,
  };
}

function receipt(
  request_id: string,
  node_id: string,
  [prompt, completion]: number[],
  reason: string | null,
): Mutable<NodeReceiptRow> {
  return {
    request_id,
    node_id,
    account_id: ACCOUNT,
    outcome: 'finished',
    prompt_tokens: prompt!,
    cached_tokens: 0,
    completion_tokens: completion!,
    reasoning_tokens: 0,
    written_off_prompt_tokens: reason === null ? 0 : prompt!,
    written_off_completion_tokens: reason === null ? 0 : completion!,
    write_off_reason: reason,
  };
}

type ClientEnd = Pick<Sample['clients'][number], 'status' | 'ending' | 'deliveredTokens' | 'costNanoUsd'>;

function client(requestId: string, end: ClientEnd): Sample['clients'][number] {
  return {
    accountId: ACCOUNT,
    keyId: 'key_1',
    requestId,
    ...end,
    text: 'an answer with marker-one',
    idempotencyKey: null,
    replayed: false,
    sentAtMs: AT_MS - 10,
    endedAtMs: AT_MS + 5_000,
  };
}

function dispatch(requestId: string, nodeId: string, order: number): Sample['dispatches'][number] {
  return {
    requestId,
    accountId: ACCOUNT,
    nodeId,
    atMs: AT_MS + order,
    byteLeftBefore: false,
    active: 10,
    retrying: 0,
    cacheSalt: 'salt-1',
  };
}
