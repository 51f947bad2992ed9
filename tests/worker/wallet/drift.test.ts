/** Drift: where a node's receipt and the bill disagree, an operator sees a row with the request's id. */
import { and, eq, isNull } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { drift, nodeReceipt } from '../../../worker/db/schema.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { usd } from '../../../worker/domain/money.ts';
import { countsTheSame } from '../../../worker/wallet/receipts.ts';
import { env, passTime, price, publish, receiptOf, usage, walletWith } from './fixtures.ts';

const db = database(env);
const openDriftOf = (accountId: string) =>
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
    await publish(wallet);
    expect(await openDriftOf(accountId)).toEqual([]);
  });

  it('of an agent that was killed are fewer and no drift, but the row of the request cannot stand for them', async () => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 4, 5));
    const receipt = receiptOf(requestId, 'node_a', usage(10, 4, 3), 'lost');
    const request = (await wallet.request(requestId))!;
    expect(countsTheSame(receipt, request)).toBe(false);
    expect(countsTheSame({ ...receipt, usage: usage(10, 4, 5) }, request)).toBe(true);
    await wallet.reconcile([receipt]);
    await publish(wallet);
    expect(await openDriftOf(accountId)).toEqual([]);
  });

  it.each([
    ['fewer tokens than were billed', usage(10, 4, 4)],
    ['more tokens than a finished answer had', usage(10, 4, 9)],
    ['more of the prompt than was billed', usage(500, 4, 5)],
  ])('of %s are drift', async (_, counted) => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 4, 5));
    await wallet.reconcile([receiptOf(requestId, 'node_a', counted, 'finished')]);
    await publish(wallet);
    expect(await openDriftOf(accountId)).toMatchObject([
      {
        requestId,
        nodeId: 'node_a',
        kind: 'tokens',
        detail: { billedCompletion: 5, countedCompletion: counted.completionTokens },
      },
    ]);
  });

  it.each([
    ['cached', usage(10, 3, 5)],
    ['reasoning', { ...usage(10, 4, 5), reasoningTokens: 5 }],
  ])(
    'of a finished answer that differ in %s tokens alone are drift, since sums do not show it',
    async (_, counted) => {
      const { accountId, wallet, charge } = await walletWith(usd(1));
      const requestId = await charge(usage(10, 4, 5));
      await wallet.reconcile([receiptOf(requestId, 'node_a', counted, 'finished')]);
      await publish(wallet);
      expect(await openDriftOf(accountId)).toMatchObject([
        {
          requestId,
          kind: 'tokens',
          detail: {
            billedCached: 4,
            countedCached: counted.cachedTokens,
            billedReasoning: 0,
            countedReasoning: counted.reasoningTokens,
          },
        },
      ]);
    },
  );

  it('past max_tokens are a finding that names the cause, once', async () => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 4, 5));
    const receipt = { ...receiptOf(requestId, 'node_a', usage(10, 4, 5), 'finished'), overrunTokens: 7 };
    await wallet.reconcile([receipt]);
    await wallet.reconcile([receipt]);
    await publish(wallet);
    expect(await openDriftOf(accountId)).toMatchObject([
      { requestId, nodeId: 'node_a', kind: 'overrun', detail: { overrun: 7, countedCompletion: 5 } },
    ]);
  });

  it('that the edge refused as impossible are written off with that reason, and are a finding', async () => {
    const { accountId, wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ requestId });
    await wallet.void({ requestId, nodeId: 'node_a', ending: 'implausible' });
    await wallet.reconcile([
      receiptOf(requestId, 'node_a', usage(9_000, 0, 5)),
      receiptOf(requestId, 'node_b', usage(10, 0, 5)),
    ]);
    await publish(wallet);
    expect(await openDriftOf(accountId)).toMatchObject([
      { nodeId: 'node_a', kind: 'implausible', detail: { countedPrompt: 9_000, billedPrompt: 0 } },
    ]);
    const rows = await db.select().from(nodeReceipt).where(eq(nodeReceipt.requestId, requestId));
    expect(rows.map(({ nodeId, writeOffReason }) => [nodeId, writeOffReason]).sort()).toEqual([
      ['node_a', 'implausible'],
      ['node_b', 'voided'],
    ]);
  });

  it('past the hold of a lost isolate are written off for that reason, and not for want of credit', async () => {
    const { accountId, wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    const heldNanoUsd = 10 * price.cacheMissNanoUsd + 5 * price.outputNanoUsd;
    await admit({ requestId, wanted: heldNanoUsd });
    passTime(GRACE_MS / 2);
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 8))]);
    await publish(wallet);
    expect(await wallet.request(requestId)).toMatchObject({ chargeNanoUsd: heldNanoUsd });
    const rows = await db.select().from(nodeReceipt).where(eq(nodeReceipt.requestId, requestId));
    expect(rows).toMatchObject([{ writeOffReason: 'past_hold', writtenOffCompletionTokens: 3 }]);
    expect(await openDriftOf(accountId)).toEqual([]);
  });

  it('that exceed the bill because the client left are no drift', async () => {
    const { accountId, wallet, admit } = await walletWith(usd(1));
    const requestId = 'req_00000000000000000000000000';
    await admit({ requestId });
    const billed = usage(10, 0, 5);
    await wallet.post({ requestId, nodeId: 'node_a', usage: billed, ending: 'client_gone', ttftMs: 1 });
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 8))]);
    await publish(wallet);
    expect(await openDriftOf(accountId)).toEqual([]);
  });

  it('of two nodes that both gave the whole answer are drift', async () => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 0, 5));
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 5), 'finished')]);
    await wallet.reconcile([receiptOf(requestId, 'node_b', usage(10, 0, 5), 'finished')]);
    await publish(wallet);
    expect(await openDriftOf(accountId)).toMatchObject([
      { requestId, kind: 'double', detail: { alsoBy: 'node_a' } },
    ]);
  });
});

describe('a receipt', () => {
  it('that does not come is reported missing after the grace, and resolved when it comes late', async () => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 0, 5));
    await publish(wallet);
    passTime(GRACE_MS - 1_000);
    await publish(wallet);
    expect(await openDriftOf(accountId)).toEqual([]);
    passTime(61_000);
    await publish(wallet);
    expect(await openDriftOf(accountId)).toMatchObject([
      { requestId, kind: 'receipt_missing', nodeId: 'node_a' },
    ]);

    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 5), 'finished')]);
    await publish(wallet);
    expect(await openDriftOf(accountId)).toEqual([]);
  });

  it('that came is not reported missing, nor is one for a request that cost nothing', async () => {
    const { accountId, wallet, admit, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 0, 5));
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 5), 'finished')]);
    await admit({ requestId: 'req_00000000000000000000000001' });
    await wallet.void({ requestId: 'req_00000000000000000000000001', nodeId: null, ending: 'not_served' });
    passTime(2 * GRACE_MS);
    await publish(wallet);
    expect(await openDriftOf(accountId)).toEqual([]);
  });

  it('that comes after the Wallet has forgotten its request is compared with the bill in D1', async () => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(10, 0, 5));
    await publish(wallet);
    passTime(2 * DAY_MS);
    await publish(wallet);
    expect(await wallet.request(requestId)).toBeNull();
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 7))]);
    await publish(wallet);
    const rows = await db.select().from(nodeReceipt).where(eq(nodeReceipt.requestId, requestId));
    expect(rows).toMatchObject([{ writtenOffPromptTokens: 0, writtenOffCompletionTokens: 2 }]);
    expect(await openDriftOf(accountId)).toEqual([]);
  });

  it('of an unknown request is written off whole', async () => {
    const { wallet } = await walletWith(usd(1));
    const requestId = 'req_00000000000000000000000009';
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 7))]);
    await publish(wallet);
    const rows = await db.select().from(nodeReceipt).where(eq(nodeReceipt.requestId, requestId));
    expect(rows).toMatchObject([{ writtenOffCompletionTokens: 7, writeOffReason: 'unknown_request' }]);
  });
});

describe('a charge', () => {
  it.each([
    ['is not usage × the price it names', { ...price, outputNanoUsd: 1_000 }],
    ['names a price that does not exist', { ...price, id: 'deepseek-r1-0528/standard/99' }],
  ])('that %s is drift', async (_, wrongPrice) => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    const requestId = await charge(usage(0, 0, 5), { price: wrongPrice });
    await publish(wallet);
    expect(await openDriftOf(accountId)).toMatchObject([
      { requestId, kind: 'price', detail: { priceId: wrongPrice.id, charged: 5 * wrongPrice.outputNanoUsd } },
    ]);
  });
});
