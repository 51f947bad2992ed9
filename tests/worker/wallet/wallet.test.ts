/** The Wallet's holds, settlement, orphaned holds, and what it publishes to D1. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { project } from '../../../worker/db/projection.ts';
import { ledgerEntry, nodeReceipt, usageEvent, usageHour } from '../../../worker/db/schema.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { GENESIS_HASH, hashInput } from '../../../worker/domain/ledger.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import type { OutboxItem } from '../../../worker/domain/outbox.ts';
import { env, passTime, receiptOf, usage, walletWith } from './fixtures.ts';

describe('holds', () => {
  it('holds what is wanted, or all that is available', async () => {
    const { wallet, admit } = await walletWith(nanoUsd(1_500_000));
    expect(await admit()).toMatchObject({ ok: true, heldNanoUsd: 1_000_000, availableNanoUsd: 500_000 });
    expect(await admit()).toMatchObject({ ok: true, heldNanoUsd: 500_000, availableNanoUsd: 0 });
    expect(await wallet.balance()).toMatchObject({ heldNanoUsd: 1_500_000, availableNanoUsd: 0 });
  });

  it('refuses only when the least is not available, and says how much is', async () => {
    const { admit } = await walletWith(nanoUsd(1_000));
    expect(await admit({ least: 1_000 })).toMatchObject({ ok: true, heldNanoUsd: 1_000 });
    expect(await admit({ least: 1_000 })).toMatchObject({
      ok: false,
      refusal: {
        reason: 'held_by_requests',
        bound: 'insufficient_balance',
        limitNanoUsd: 1_000,
        heldNanoUsd: 1_000,
      },
    });
    expect(await admit({ least: 1_001 })).toMatchObject({
      ok: false,
      refusal: { reason: 'insufficient_balance', requiredNanoUsd: 1_001, availableNanoUsd: 0 },
    });
  });

  it('makes one hold of a request that is admitted twice', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ requestId });
    await admit({ requestId });
    expect((await wallet.balance()).heldNanoUsd).toBe(1_000_000);
  });

  it('never holds more than is available when many ask at once', async () => {
    const { wallet, admit } = await walletWith(nanoUsd(10_000_000));
    const results = await Promise.all(
      Array.from({ length: 500 }, () => admit({ wanted: 30_000, least: 30_000 })),
    );
    expect(results.filter(({ ok }) => ok)).toHaveLength(333);
    expect(await wallet.balance()).toMatchObject({ heldNanoUsd: 9_990_000, availableNanoUsd: 10_000 });
  });

  it('grows and shrinks as credit allows', async () => {
    const { wallet, admit, resize } = await walletWith(nanoUsd(1_500_000));
    const requestId = newId('req', Date.now());
    await admit({ requestId });
    expect(await resize(requestId, 200_000)).toEqual({ heldNanoUsd: 200_000, boundBy: null });
    expect(await resize(requestId, 9_000_000)).toEqual({
      heldNanoUsd: 1_500_000,
      boundBy: 'insufficient_balance',
    });
    expect((await wallet.balance()).availableNanoUsd).toBe(0);
    await wallet.void({ requestId, nodeId: null, ending: 'not_served' });
    expect(await resize(requestId, 1_000)).toBeNull();
  });

  it('keeps holds when the object restarts', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    await admit();
    await evictDurableObject(wallet);
    expect(await wallet.balance()).toMatchObject({ heldNanoUsd: 1_000_000, grantedNanoUsd: 1_000_000_000 });
  });
});

describe('settling', () => {
  it('bills usage × price and releases the rest', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ requestId });
    const post = {
      requestId,
      nodeId: 'node_a',
      usage: usage(100, 40, 30),
      ending: 'finished' as const,
      ttftMs: 12,
    };
    const charge = 40 * 140 + 60 * 550 + 30 * 2_190;
    expect(await wallet.post(post)).toMatchObject({ state: 'posted', chargeNanoUsd: charge, entrySeq: 2 });
    expect(await wallet.balance()).toMatchObject({ grantedNanoUsd: 1_000_000_000 - charge, heldNanoUsd: 0 });

    // Posting again, or voiding afterwards, changes nothing.
    expect(await wallet.post({ ...post, usage: usage(900, 0, 900) })).toMatchObject({
      chargeNanoUsd: charge,
    });
    expect(await wallet.void({ requestId, nodeId: null, ending: 'not_served' })).toMatchObject({
      state: 'posted',
    });
    expect((await wallet.balance()).grantedNanoUsd).toBe(1_000_000_000 - charge);
  });

  it('never bills more than is held', async () => {
    const { wallet, admit } = await walletWith(nanoUsd(100_000));
    const requestId = newId('req', Date.now());
    await admit({ requestId, wanted: 50_000 });
    const posted = await wallet.post({
      requestId,
      nodeId: 'node_a',
      usage: usage(10, 0, 1_000_000),
      ending: 'finished',
      ttftMs: null,
    });
    // 10 × 550 leaves 44,500 of the hold: 20 whole tokens of output
    expect(posted).toMatchObject({ usage: { completionTokens: 20 }, chargeNanoUsd: 5_500 + 20 * 2_190 });
  });

  it('throws for unsound usage', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ requestId });
    const unsound = { requestId, nodeId: 'n', ending: 'finished' as const, ttftMs: null };
    await runInDurableObject(wallet, async (instance) => {
      await expect(instance.post({ ...unsound, usage: usage(10, 11, 1) })).rejects.toThrow(RangeError);
      await expect(instance.post({ ...unsound, usage: usage(10, 0, -1) })).rejects.toThrow(RangeError);
    });
    expect((await wallet.request(requestId))?.state).toBe('held');
  });

  it('spends granted credit before paid credit', async () => {
    const { wallet, admit } = await walletWith(nanoUsd(1_000));
    await wallet.topUp({ orderId: 'order_1', amountNanoUsd: nanoUsd(10_000) });
    await wallet.topUp({ orderId: 'order_1', amountNanoUsd: nanoUsd(10_000) });
    const requestId = newId('req', Date.now());
    await admit({ requestId });
    await wallet.post({ requestId, nodeId: 'n', usage: usage(0, 0, 1), ending: 'finished', ttftMs: null });
    expect(await wallet.balance()).toMatchObject({ grantedNanoUsd: 0, paidNanoUsd: 8_810 });
  });

  it('takes back paid credit first, never more than is available, once', async () => {
    const { wallet, admit } = await walletWith(nanoUsd(1_000));
    await wallet.topUp({ orderId: 'order_1', amountNanoUsd: nanoUsd(10_000) });
    await admit({ wanted: 3_000 });
    const refund = { reference: 'refund_1', amountNanoUsd: nanoUsd(-9_000) };
    expect(await wallet.correct(refund)).toMatchObject({
      entry: { paidNanoUsd: -8_000 },
      uncollectedNanoUsd: 1_000,
    });
    expect(await wallet.correct(refund)).toMatchObject({ entry: { seq: 3 }, uncollectedNanoUsd: 1_000 });
    expect(await wallet.balance()).toMatchObject({
      grantedNanoUsd: 1_000,
      paidNanoUsd: 2_000,
      availableNanoUsd: 0,
    });
    const won = await wallet.correct({ reference: 'dispute_1_won', amountNanoUsd: nanoUsd(1_500) });
    expect(won).toMatchObject({ entry: { paidNanoUsd: 500, grantedNanoUsd: 0 }, uncollectedNanoUsd: -1_000 });
  });

  it('chains its entries, and they sum to the balance', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    for (let i = 0; i < 3; i++) {
      const requestId = newId('req', Date.now());
      await admit({ requestId });
      await wallet.post({ requestId, nodeId: 'n', usage: usage(5, 0, 5), ending: 'finished', ttftMs: null });
    }
    const { entries, nextBeforeSeq } = await wallet.ledger({ limit: 10 });
    expect(nextBeforeSeq).toBeNull();
    let before = GENESIS_HASH;
    let balance = 0;
    for (const { hash, ...body } of [...entries].reverse()) {
      balance += body.grantedNanoUsd + body.paidNanoUsd;
      expect(body.balanceNanoUsd).toBe(balance);
      expect(hash).toBe(createHash('sha256').update(hashInput(before, body)).digest('hex'));
      before = hash;
    }
    expect((await wallet.balance()).grantedNanoUsd).toBe(balance);
    const page = await wallet.ledger({ limit: 2 });
    expect(page.entries.map(({ seq }) => seq)).toEqual([4, 3]);
    expect(
      (await wallet.ledger({ limit: 2, beforeSeq: page.nextBeforeSeq! })).entries.map(({ seq }) => seq),
    ).toEqual([2, 1]);
  });
});

describe('an orphaned hold', () => {
  it("is settled by the node's receipt once it has expired", async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ requestId });
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 7))]);
    expect((await wallet.request(requestId))?.state).toBe('held');
    passTime(60_001);
    await runDurableObjectAlarm(wallet);
    expect(await wallet.request(requestId)).toMatchObject({
      state: 'expired',
      ending: 'settled_by_receipt',
      nodeId: 'node_a',
      chargeNanoUsd: 10 * 550 + 7 * 2_190,
    });
    expect((await wallet.balance()).heldNanoUsd).toBe(0);
  });

  it('is settled at once by a receipt that comes after it has expired', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ requestId });
    passTime(60_001);
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 7))]);
    expect(await wallet.request(requestId)).toMatchObject({ state: 'expired', chargeNanoUsd: 20_830 });
  });

  it('of an answer that is not streamed is not settled by a failed attempt: nothing was delivered', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ requestId, stream: false });
    passTime(150_001);
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 7), 'failed')]);
    await runDurableObjectAlarm(wallet);
    expect((await wallet.request(requestId))?.state).toBe('held');
    await wallet.reconcile([receiptOf(requestId, 'node_b', usage(10, 0, 9), 'aborted')]);
    expect(await wallet.request(requestId)).toMatchObject({ state: 'expired', nodeId: 'node_b' });
  });

  it('is voided when no receipt comes', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ requestId });
    passTime(60_001);
    await runDurableObjectAlarm(wallet);
    expect((await wallet.request(requestId))?.state).toBe('held');
    passTime(600_002);
    await runDurableObjectAlarm(wallet);
    expect(await wallet.request(requestId)).toMatchObject({
      state: 'expired',
      ending: 'unproved',
      chargeNanoUsd: 0,
    });
    expect(await wallet.balance()).toMatchObject({ heldNanoUsd: 0, grantedNanoUsd: 1_000_000_000 });
  });

  it('is not settled as long as its edge renews it', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ requestId });
    passTime(50_000);
    await wallet.resize({ requestId, wantedNanoUsd: nanoUsd(1_000_000), tokens: null });
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 7))]);
    passTime(50_000);
    await runDurableObjectAlarm(wallet);
    expect((await wallet.request(requestId))?.state).toBe('held');
  });
});

describe('publishing to D1', () => {
  const db = database(env);

  it('writes each request, entry and receipt once, however often it is published', async () => {
    const { accountId, wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ requestId });
    await wallet.post({
      requestId,
      nodeId: 'node_a',
      usage: usage(100, 40, 30),
      ending: 'client_gone',
      ttftMs: 9,
    });
    await wallet.reconcile([
      receiptOf(requestId, 'node_a', usage(100, 40, 33)),
      receiptOf(requestId, 'node_b', usage(100, 0, 2), 'failed'),
    ]);
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(100, 40, 33))]);
    const items = await runInDurableObject(wallet, (_, state) =>
      state.storage.sql
        .exec<{ seq: number; item: string }>('SELECT seq, item FROM outbox ORDER BY seq')
        .toArray()
        .map(({ seq, item }) => ({ seq, item: JSON.parse(item) as OutboxItem })),
    );
    await runDurableObjectAlarm(wallet);
    await project(db, accountId, items);
    await project(db, accountId, items);

    const ownRows = <T extends { accountId: string }>(rows: T[]) =>
      rows.filter((row) => row.accountId === accountId);
    expect(ownRows(await db.select().from(usageEvent))).toMatchObject([
      {
        requestId,
        state: 'posted',
        ending: 'client_gone',
        promptTokens: 100,
        chargeNanoUsd: 104_300,
        entrySeq: 2,
      },
    ]);
    expect(ownRows(await db.select().from(usageHour))).toMatchObject([
      {
        requests: 1,
        cachedTokens: 40,
        uncachedTokens: 60,
        answerTokens: 30,
        chargeNanoUsd: 104_300,
        cacheSavingNanoUsd: 40 * (550 - 140),
      },
    ]);
    expect(
      ownRows(await db.select().from(ledgerEntry)).map(({ kind, balanceNanoUsd }) => [kind, balanceNanoUsd]),
    ).toEqual([
      ['grant', 1_000_000_000],
      ['charge', 999_895_700],
    ]);
    expect(ownRows(await db.select().from(nodeReceipt))).toMatchObject([
      {
        nodeId: 'node_a',
        writtenOffPromptTokens: 0,
        writtenOffCompletionTokens: 3,
        writeOffReason: 'after_client_gone',
      },
      {
        nodeId: 'node_b',
        writtenOffPromptTokens: 100,
        writtenOffCompletionTokens: 2,
        writeOffReason: 'retried_elsewhere',
      },
    ]);
    await runInDurableObject(wallet, (_, state) => {
      expect(state.storage.sql.exec('SELECT * FROM outbox').toArray()).toEqual([]);
    });
  });

  it('writes off what a node generated for a request that cost nothing', async () => {
    const { accountId, wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ requestId });
    await wallet.reconcile([receiptOf(requestId, 'node_a', usage(10, 0, 4), 'failed')]);
    await wallet.void({ requestId, nodeId: 'node_a', ending: 'not_served' });
    await runDurableObjectAlarm(wallet);
    const rows = await db.select().from(nodeReceipt);
    expect(rows.filter((row) => row.accountId === accountId)).toMatchObject([
      { writtenOffPromptTokens: 10, writtenOffCompletionTokens: 4, writeOffReason: 'voided' },
    ]);
  });

  it('keeps what D1 refused and publishes it later', async () => {
    const { accountId, wallet, admit } = await walletWith(usd(1));
    await env.DB.exec('ALTER TABLE ledger_entry RENAME TO ledger_entry_away');
    await admit();
    await runDurableObjectAlarm(wallet);
    await env.DB.exec('ALTER TABLE ledger_entry_away RENAME TO ledger_entry');
    await runDurableObjectAlarm(wallet);
    const rows = await db.select().from(ledgerEntry);
    expect(rows.filter((row) => row.accountId === accountId)).toHaveLength(1);
  });
});
