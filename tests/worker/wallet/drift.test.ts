/** Where the witnesses disagree, an operator is told, with the request's id. */
import { and, eq, isNull } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { drift, nodeReceipt } from '../../../worker/db/schema.ts';
import { usd } from '../../../worker/domain/money.ts';
import { env, passTime, price, receiptOf, told, usage, walletWith } from './fixtures.ts';

const db = database(env);
const openOf = (accountId: string) =>
  db
    .select()
    .from(drift)
    .where(and(eq(drift.accountId, accountId), isNull(drift.resolvedAtMs)));

const GRACE_MS = 600_000;
const DAY_MS = 86_400_000;

describe('counts', () => {
  it('that agree are no drift', async () => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 4, 5));
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 4, 5), 'finished')]);
    await told(wallet);
    expect(await openOf(accountId)).toEqual([]);
  });

  it.each([
    ['fewer tokens than were billed', usage(10, 4, 4)],
    ['more tokens than an answer had that went through', usage(10, 4, 9)],
    ['more of the prompt than was billed', usage(500, 4, 5)],
  ])('of %s are drift', async (_, counted) => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 4, 5));
    await wallet.reconcile([receiptOf(requestId, 'node_a', counted, 'finished')]);
    await told(wallet);
    expect(await openOf(accountId)).toMatchObject([
      {
        requestId,
        nodeId: 'node_a',
        kind: 'tokens',
        detail: { billedCompletion: 5, countedCompletion: counted.completionTokens },
      },
    ]);
  });

  it('of a client that left are explained by it', async () => {
    const { accountId, wallet, admit } = await walletWith(usd(1));
    const requestId = 'req_00000000000000000000000000';
    await admit({ requestId });
    const billed = usage(10, 0, 5);
    await wallet.post({ requestId, nodeId: 'node_a', usage: billed, ending: 'client_gone', ttftMs: 1 });
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 8))]);
    await told(wallet);
    expect(await openOf(accountId)).toEqual([]);
  });

  it('of two nodes that both gave the whole answer are drift', async () => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 0, 5));
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 5), 'finished')]);
    await wallet.reconcile([receiptOf(requestId, 'node_b', usage(10, 0, 5), 'finished')]);
    await told(wallet);
    expect(await openOf(accountId)).toMatchObject([
      { requestId, kind: 'double', detail: { alsoBy: 'node_a' } },
    ]);
  });
});

describe('a receipt', () => {
  it('that does not come is missed after the grace, and found when it comes late', async () => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 0, 5));
    await told(wallet);
    passTime(GRACE_MS - 1_000);
    await told(wallet);
    expect(await openOf(accountId)).toEqual([]);
    passTime(61_000);
    await told(wallet);
    expect(await openOf(accountId)).toMatchObject([{ requestId, kind: 'receipt_missing', nodeId: 'node_a' }]);

    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 5), 'finished')]);
    await told(wallet);
    expect(await openOf(accountId)).toEqual([]);
  });

  it('that came is not missed, nor that of a request that cost nothing', async () => {
    const { accountId, wallet, admit, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 0, 5));
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 5), 'finished')]);
    await admit({ requestId: 'req_00000000000000000000000001' });
    await wallet.void({ requestId: 'req_00000000000000000000000001', nodeId: null, ending: 'not_served' });
    passTime(2 * GRACE_MS);
    await told(wallet);
    expect(await openOf(accountId)).toEqual([]);
  });

  it('that comes when the Wallet has forgotten its request is measured against what D1 billed', async () => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 0, 5));
    await told(wallet);
    passTime(2 * DAY_MS);
    await told(wallet);
    expect(await wallet.request(requestId)).toBeNull();
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 7))]);
    await told(wallet);
    const rows = await db.select().from(nodeReceipt).where(eq(nodeReceipt.requestId, requestId));
    expect(rows).toMatchObject([{ writtenOffPromptTokens: 0, writtenOffCompletionTokens: 2 }]);
    expect(await openOf(accountId)).toEqual([]);
  });

  it('of a request that nobody knows is written off whole', async () => {
    const { wallet } = await walletWith(usd(1));
    const requestId = 'req_00000000000000000000000009';
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 7))]);
    await told(wallet);
    const rows = await db.select().from(nodeReceipt).where(eq(nodeReceipt.requestId, requestId));
    expect(rows).toMatchObject([{ writtenOffCompletionTokens: 7, writeOffReason: 'unknown_request' }]);
  });
});

describe('a charge', () => {
  it.each([
    ['is not usage × the price it names', { ...price, outputNanoUsd: 1_000 }],
    ['names a price that nobody set', { ...price, id: 'deepseek-r1-0528/standard/99' }],
  ])('that %s is drift', async (_, wrong) => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(0, 0, 5), { price: wrong });
    await told(wallet);
    expect(await openOf(accountId)).toMatchObject([
      { requestId, kind: 'price', detail: { priceId: wrong.id, charged: 5 * wrong.outputNanoUsd } },
    ]);
  });
});
