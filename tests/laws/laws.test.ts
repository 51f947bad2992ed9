/** Tests the checker: a sound world breaks no law, and each corruption breaks the law it is listed under and no other. */
import { describe, expect, it } from 'vitest';
import { observeCommit } from './commit-observer.ts';
import { brokenLaws } from './laws.ts';
import { ACCOUNT, chained, type Mutable, soundWorld } from './sample-world.ts';
import { LAWS, type LawName, type LedgerStart, type World } from './world.ts';

type Corrupt = (world: ReturnType<typeof soundWorld>) => void;

/** Changes entries in the Wallet and in D1 alike and rebuilds the chain, so that only the entries' meaning is wrong. */
function rewriteLedger(
  world: ReturnType<typeof soundWorld>,
  change: (legs: ReturnType<typeof chained>) => void,
) {
  const wallet = world.accounts[0];
  change(wallet.entry);
  wallet.entry = chained(wallet.entry);
  wallet.credit.head_seq = wallet.entry.length;
  wallet.credit.head_hash = wallet.entry.at(-1)!.hash;
  world.d1.ledger_entry = wallet.entry.map((row) => ({ ...row, account_id: ACCOUNT }));
}

const CORRUPTIONS: readonly (readonly [law: LawName, what: string, corrupt: Corrupt])[] = [
  ['L1', 'the balance is not the sum of the entries', (w) => (w.accounts[0].credit.paid_nano_usd += 1)],
  [
    'L1',
    'the charge is not tokens × price',
    (w) => {
      w.accounts[0].request[0]!.output_nano_usd += 1;
      w.d1.price[0]!.output_nano_usd += 1;
      w.accounts[0].request = w.accounts[0].request.slice(0, 1);
    },
  ],
  [
    'L1',
    'the price was not in force at admission',
    (w) => {
      w.accounts[0].request[0]!.price_id = 'price_2';
      w.d1.usage_event[0]!.price_id = 'price_2';
    },
  ],
  [
    'L1',
    'paid credit is spent before granted credit',
    (w) => {
      rewriteLedger(w, (legs) => {
        legs[2]!.paid_nano_usd = legs[2]!.granted_nano_usd;
        legs[2]!.granted_nano_usd = 0;
      });
      w.accounts[0].credit.granted_nano_usd += 28_800;
      w.accounts[0].credit.paid_nano_usd -= 28_800;
      w.d1.usage_event[0]!.granted_nano_usd = 0;
      w.d1.node_hour[0]!.granted_nano_usd = 0;
    },
  ],
  [
    'L2',
    'more is promised than there is',
    (w) => {
      w.final = false;
      w.accounts[0].request[1]!.state = 'held';
      w.accounts[0].request[1]!.held_nano_usd = 9_000_000;
      w.accounts[0].credit.held_nano_usd = 9_000_000;
      w.d1.usage_event.splice(1, 1);
      w.d1.usage_hour[0]!.requests -= 1;
    },
  ],
  [
    'L2',
    'requests count on more than is held',
    (w) => {
      w.final = false;
      Object.assign(w.accounts[0].request[1]!, { state: 'held', held_nano_usd: 1_000 });
      w.d1.usage_event.splice(1, 1);
      w.d1.usage_hour[0]!.requests -= 1;
    },
  ],
  [
    'L3',
    'a request ends twice',
    (w) => w.accounts[0].ends.push({ ...w.accounts[0].ends[0]!, from_state: 'posted' }),
  ],
  [
    'L3',
    'a node works on a request that was never admitted',
    (w) =>
      w.nodes[0]!.counts.push({
        ...w.nodes[0]!.counts[0]!,
        requestId: 'req_9',
        tailTokensMax: 99,
        promptTokens: 0,
      }),
  ],
  ['L3', 'a request is answered that was never admitted', (w) => (w.clients[0]!.requestId = 'req_9')],
  ['L3', 'a lease is never given back', (w) => (w.accounts[0].lease[0]!.ended_at_ms = null)],
  [
    'L4',
    'a lease that has ended holds credit',
    (w) => {
      w.final = false;
      w.accounts[0].lease[0]!.held_nano_usd = 5;
      w.accounts[0].credit.held_nano_usd = 5;
    },
  ],
  [
    'L4',
    'more is charged than a request had of its lease',
    (w) => Object.assign(w.accounts[0].request[0]!, { drawn_nano_usd: 28_799 }),
  ],
  ['L3', 'a request ends late', (w) => (w.clients[0]!.endedAtMs! -= 120_000)],
  [
    'L3',
    'an idempotency key pays twice',
    (w) => {
      w.clients[0]!.idempotencyKey = 'again';
      w.clients[2]!.idempotencyKey = 'again';
    },
  ],
  ['L4', 'more is posted than was held', (w) => (w.accounts[0].ends[0]!.held_before_nano_usd = 28_799)],
  ['L4', 'a token spends more than its cap', (w) => (w.accounts[0].token_spend[0]!.spent_nano_usd = 30_001)],
  [
    'L4',
    'a token holds what none of its requests does',
    (w) => (w.accounts[0].token_spend[0]!.held_nano_usd = 1),
  ],
  ['L4', 'the rest does not return', (w) => (w.accounts[0].ends[0]!.held_after_nano_usd = 1)],
  [
    'L5',
    'tokens are counted and neither billed nor written off',
    (w) => (w.nodes[0]!.counts[1]!.completionTokens += 1),
  ],
  ['L5', 'a write-off has no reason', (w) => (w.d1.node_receipt[1]!.write_off_reason = null)],
  ['L5', 'more than a dying host could hide', (w) => (w.nodes[1]!.counts[0]!.completionTokens += 1)],
  ['L6', 'a second node after the first byte', (w) => (w.dispatches[2]!.byteLeftBefore = true)],
  [
    'L6',
    'a fourth attempt',
    (w) => {
      for (const nodeId of ['node_3', 'node_4']) w.dispatches.push({ ...w.dispatches[2]!, nodeId });
    },
  ],
  ['L6', 'a storm of retries', (w) => (w.dispatches[2]!.retrying = 6)],
  ['L7', 'less is billed than was delivered', (w) => (w.clients[0]!.deliveredTokens = 11)],
  ['L7', 'the answer names another cost', (w) => (w.clients[0]!.costNanoUsd = 1)],
  [
    'L7',
    'more is billed than was generated',
    (w) => {
      w.nodes[0]!.counts[0]!.completionTokens = 9;
      w.d1.node_receipt[0]!.written_off_completion_tokens = -1;
      w.d1.node_receipt[0]!.write_off_reason = 'undelivered';
      w.final = false;
      w.d1.node_receipt = [];
    },
  ],
  [
    'L8',
    'a failure without output costs',
    (w) => Object.assign(w.clients[2]!, { ending: 'error', deliveredTokens: 0 }),
  ],
  ['L9', 'a payment is not credited', (w) => w.payments.push({ ...w.payments[0]!, orderId: 'order_2' })],
  ['L9', 'a credit was not paid', (w) => (w.payments[0]!.succeeded = false)],
  ['L9', 'another amount is credited', (w) => (w.payments[0]!.amountNanoUsd = 1)],
  ['L9', 'a refund debits nothing', (w) => (w.payments[0]!.reversedNanoUsd = 2_000_000)],
  ['L9', 'an event is acted on twice', (w) => w.d1.payment_event.push(w.d1.payment_event[0]!)],
  ['L10', 'an entry is changed', (w) => (w.accounts[0].entry[1]!.at_ms += 1)],
  ['L10', 'a fold loses a nano-USD', (w) => foldThree(w, (state) => (state.paid -= 1))],
  ['L10', 'a fold invents a nano-USD', (w) => foldThree(w, (state) => (state.granted += 1))],
  ['L10', 'an opening breaks the chain', (w) => foldThree(w, (state) => (state.hash = '0'.repeat(64)))],
  ['L10', 'an entry is gone that no opening stands for', (w) => foldThree(w, () => {}).entry.shift()],
  [
    'L10',
    'an entry that was folded is changed in D1',
    (w) => {
      foldThree(w, () => {});
      w.d1.ledger_entry[1]!.at_ms += 1;
    },
  ],
  ['L10', 'D1 lacks an entry', (w) => w.d1.ledger_entry.pop()],
  ['L10', 'D1 lacks a request', (w) => dropUsage(w, 1)],
  ['L10', 'the rollup counts twice', (w) => (w.d1.usage_hour[0]!.requests += 1)],
  ['L10', 'the cache is said to save more', (w) => (w.d1.usage_hour[0]!.cache_saving_nano_usd += 1)],
  ['L10', 'the rollup of a node counts twice', (w) => (w.d1.node_hour[0]!.completion_tokens += 1)],
  ['L10', 'a node lacks an hour', (w) => w.d1.node_hour.pop()],
  ['L10', 'a node has an hour of nothing', (w) => w.d1.node_hour.push({ ...w.d1.node_hour[0]!, hour_ms: 0 })],
  [
    'L10',
    'granted credit paid more than the ledger says',
    (w) => {
      w.d1.usage_event[0]!.granted_nano_usd += 1;
      w.d1.node_hour[0]!.granted_nano_usd += 1;
    },
  ],
  ['L10', 'a receipt is counted twice', (w) => (w.d1.receipt_hour[0]!.receipts += 1)],
  ['L10', 'a receipt is not counted', (w) => w.d1.receipt_hour.shift()],
  ['L10', 'granted credit paid for what was not charged', (w) => (w.d1.usage_event[1]!.granted_nano_usd = 1)],
  [
    'L10',
    'the spend of a key is not what it spent',
    (w) => (w.accounts[0].key_spend[0]!.spent_nano_usd += 1),
  ],
  ['L10', 'the outbox is not empty', (w) => (w.accounts[0].outbox = 1)],
  ['L11', "an answer holds another account's text", (w) => (w.clients[0]!.text += 'marker-two')],
  ['L11', 'a log holds content', (w) => w.logs.push('prompt: marker-one')],
  ['L11', 'two accounts share a cache', (w) => (w.dispatches[1]!.accountId = 'acct_2')],
  ['L12', 'a revoked key admits', (w) => (w.clients[0]!.keyId = 'key_2')],
  ['L12', 'a request names a key that was revoked', (w) => (w.d1.api_key[0]!.revoked_at_ms = 0)],
  ['L13', 'the pool does not serve again', (w) => (w.probes[0]!.served = false)],
];

/** Folds the first three entries into an opening, which names the state after them as `change` leaves it. */
function foldThree(world: ReturnType<typeof soundWorld>, change: (state: Mutable<LedgerStart>) => void) {
  const [wallet] = world.accounts;
  const folded = wallet.entry.slice(0, 3);
  const sumOf = (column: 'granted_nano_usd' | 'paid_nano_usd') =>
    folded.reduce((sum, row) => sum + row[column], 0);
  const state = {
    seq: 3,
    hash: folded[2]!.hash,
    granted: sumOf('granted_nano_usd'),
    paid: sumOf('paid_nano_usd'),
  };
  change(state);
  const reference = Object.values(state).join(':');
  const opening = { kind: 'opening', reference, granted_nano_usd: 0, paid_nano_usd: 0 };
  const all = chained([...wallet.entry, opening]);
  world.d1.ledger_entry = all.map((row) => ({ ...row, account_id: ACCOUNT }));
  wallet.entry = all.slice(3);
  wallet.credit.head_seq = all.length;
  wallet.credit.head_hash = all.at(-1)!.hash;
  return wallet;
}

function dropUsage(world: ReturnType<typeof soundWorld>, index: number): void {
  world.d1.usage_event.splice(index, 1);
  world.d1.usage_hour[0]!.requests -= 1;
}

describe('the checker', () => {
  it('finds nothing in a sound world', () => {
    expect(brokenLaws(soundWorld())).toEqual([]);
  });

  it('finds nothing in a sound world whose oldest entries were folded, with D1 or without', () => {
    const world = soundWorld();
    foldThree(world, () => {});
    expect(brokenLaws(world)).toEqual([]);
    expect(
      brokenLaws({
        final: true,
        accounts: world.accounts.map(({ accountId, entry, credit }) => ({ accountId, entry, credit })),
      }),
    ).toEqual([]);
  });

  it.each(CORRUPTIONS)('%s: %s', (law, _, corrupt) => {
    const world = soundWorld();
    corrupt(world);
    const found = brokenLaws(world as World);
    expect([...new Set(found.map((violation) => violation.law))], JSON.stringify(found)).toEqual([law]);
  });

  it('has a corruption for every law', () => {
    expect(new Set(CORRUPTIONS.map(([law]) => law))).toEqual(new Set(LAWS));
  });

  it('skips what a world does not include', () => {
    expect(brokenLaws({ final: true, accounts: [] })).toEqual([]);
    const { accounts } = soundWorld();
    expect(brokenLaws({ final: true, accounts: [{ accountId: ACCOUNT }] })).toEqual([]);
    expect(
      brokenLaws({ final: true, accounts: accounts.map(({ accountId, entry }) => ({ accountId, entry })) }),
    ).toEqual([]);
    const { d1 } = soundWorld();
    expect(brokenLaws({ final: true, accounts: [], d1: { usage_event: d1.usage_event } })).toEqual([]);
  });

  it('reports a commit that promises too much, or still holds credit for an ended request', () => {
    const credit = { granted_nano_usd: 10, paid_nano_usd: 0, held_nano_usd: 11, head_seq: 1, head_hash: '' };
    const commit = (heldNanoUsd: number, held: number) =>
      observeCommit({
        accountId: ACCOUNT,
        credit: { ...credit, held_nano_usd: heldNanoUsd },
        held: [{ state: 'held', held_nano_usd: held }],
      }).map(({ law }) => law);
    expect(commit(10, 10)).toEqual([]);
    expect(commit(11, 11)).toEqual(['L2']);
    expect(commit(5, 6)).toEqual(['L2']);
    expect(commit(6, 5)).toEqual(['L4']);
  });
});
