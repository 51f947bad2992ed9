/**
 * Outbox items that Wallets publish to D1 land once, however often and by however many callers, and cost few written
 * rows.
 */
import { and, eq } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { type CountedTokens, countedTokensSince } from '../../../worker/db/drift.ts';
import { createKey, findKey } from '../../../worker/db/keys.ts';
import { listNodeBuckets } from '../../../worker/db/margin.ts';
import { closeOpenSums } from '../../../worker/db/open-sums.ts';
import { project } from '../../../worker/db/projection.ts';
import {
  drift,
  ledgerEntry,
  nodeHour,
  nodeReceipt,
  projection,
  receiptHour,
  usageEvent,
  usageHour,
} from '../../../worker/db/schema.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { chargeReference } from '../../../worker/domain/ledger.ts';
import { nanoUsd } from '../../../worker/domain/money.ts';
import type { OutboxItem, UsageRecord } from '../../../worker/domain/outbox.ts';
import { chargeFor } from '../../../worker/domain/pricing.ts';
import type { WriteOff } from '../../../worker/domain/reconciliation.ts';
import { config } from '../../../worker/env.ts';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { newAccount } from '../fleet/fixtures.ts';
import { env, price, usage } from '../wallet/fixtures.ts';

const db = database(env);
const HOUR_MS = 3_600_000;
const NOON = Date.UTC(2026, 10, 20, 12);

let accountId: string;
let nodeId: string;
let seq: number;

beforeEach(async () => {
  accountId = newId('acct', Date.now());
  nodeId = newId('node', Date.now());
  seq = 0;
});

function request(change: Partial<UsageRecord> = {}): UsageRecord {
  const admittedAtMs = change.admittedAtMs ?? NOON;
  const used = change.usage ?? usage(30, 10, 100);
  return {
    requestId: newId('req', admittedAtMs),
    keyId: 'key_1',
    modelId: 'deepseek-r1-0528',
    stream: true,
    state: 'posted',
    ending: 'finished',
    nodeId,
    admittedAtMs,
    endedAtMs: admittedAtMs + 500,
    heldNanoUsd: nanoUsd(0),
    price,
    usage: used,
    chargeNanoUsd: chargeFor(used, price),
    entrySeq: 2,
    ttftMs: 5,
    grantedNanoUsd: nanoUsd(1_000),
    ...change,
  };
}

const usageItem = (...requests: UsageRecord[]): OutboxItem => ({ kind: 'usage', accountId, requests });
/** 'witnessed' is the stored kind of receipts that match what was billed. */
const matchedItem = (receipts: number, late: string[] = []): OutboxItem => ({
  kind: 'witnessed',
  accountId,
  nodeId,
  receivedAtMs: NOON,
  receipts,
  promptTokens: 30 * receipts,
  completionTokens: 100 * receipts,
  newestEndedAtMs: NOON - 700,
  late,
});
const receiptItem = (
  requestId: string,
  writeOff: WriteOff | null,
  change: { nodeId?: string; late?: boolean; completionTokens?: number } = {},
): OutboxItem => ({
  kind: 'receipt',
  accountId,
  receivedAtMs: NOON + 1_000,
  receipt: {
    requestId,
    nodeId: change.nodeId ?? nodeId,
    outcome: 'finished',
    usage: usage(30, 10, change.completionTokens ?? 107),
    ttftMs: 1,
    ticket: null,
  },
  writeOff,
  late: change.late ?? false,
});
const missingItem = (requestId: string): OutboxItem => ({
  kind: 'drift',
  accountId,
  drift: 'receipt_missing',
  requestId,
  nodeId,
  detail: { billedPrompt: 30, billedCompletion: 100 },
  foundAtMs: NOON,
});

const numbered = (items: readonly OutboxItem[]) => items.map((item) => ({ seq: ++seq, item }));
const publish = (...items: OutboxItem[]) => project(db, accountId, numbered(items));

const counters = async () =>
  (await db.select().from(projection).where(eq(projection.accountId, accountId))).map(
    ({ accountId: _, openSums: _open, openSinceMs: _since, closed: _closed, ...counted }) => counted,
  )[0];
const ofAccount = () => db.select().from(usageEvent).where(eq(usageEvent.accountId, accountId));
const hours = () => db.select().from(usageHour).where(eq(usageHour.accountId, accountId));
const nodeHours = async () => {
  await closeOpenSums(db, Number.MAX_SAFE_INTEGER);
  return db.select().from(nodeHour).where(eq(nodeHour.nodeId, nodeId));
};
const receiptHours = async () => {
  await closeOpenSums(db, Number.MAX_SAFE_INTEGER);
  return db.select().from(receiptHour).where(eq(receiptHour.nodeId, nodeId));
};

describe('published items', () => {
  it('land once, however often they are published, also in parts', async () => {
    const items = numbered([
      usageItem(request(), request()),
      matchedItem(2),
      usageItem(request({ admittedAtMs: NOON + HOUR_MS })),
    ]);
    await project(db, accountId, items.slice(0, 2));
    for (let again = 0; again < 3; again++) await project(db, accountId, items);
    expect(await ofAccount()).toHaveLength(3);
    expect(await hours()).toMatchObject([{ requests: 2 }, { requests: 1 }]);
    expect(await nodeHours()).toMatchObject([{ requests: 2 }, { requests: 1 }]);
    expect(await receiptHours()).toMatchObject([{ receipts: 2 }]);
    expect(await counters()).toEqual({
      publishedSeq: 3,
      billedRequests: 3,
      receiptMatchedRequests: 2,
      missedRequests: 0,
    });
  });

  it('land once when many callers publish at the same time, some of them more items', async () => {
    const items = numbered(Array.from({ length: 12 }, () => usageItem(request(), request())));
    const calls = [12, 3, 7, 12, 1, 9, 12].map((count) => project(db, accountId, items.slice(0, count)));
    await Promise.all(calls);
    expect(await ofAccount()).toHaveLength(24);
    expect(await hours()).toMatchObject([{ requests: 24 }]);
    expect(await counters()).toMatchObject({ publishedSeq: 12, billedRequests: 24 });
  });

  it('are left out when another caller published them between the read and the batch', async () => {
    const items = numbered([
      usageItem(request()),
      matchedItem(1),
      missingItem(newId('req', NOON)),
      receiptItem(newId('req', NOON), { promptTokens: 30, completionTokens: 107, reason: 'unknown_request' }),
    ]);
    const rows = async () => JSON.stringify([await hours(), await nodeHours(), await receiptHours()]);
    const real = env.DB.batch.bind(env.DB);
    let before = '';
    const other = database({
      DB: new Proxy(env.DB, {
        get: (target, name) =>
          name === 'batch'
            ? async (statements: D1PreparedStatement[]) => {
                if (before === '') {
                  await project(db, accountId, items);
                  before = await rows();
                }
                return real(statements);
              }
            : Reflect.get(target, name).bind(target),
      }),
    });
    await project(other, accountId, [...items, ...numbered([usageItem(request())])]);
    expect(before).not.toBe('');
    expect(await hours()).toMatchObject([{ requests: 2 }]);
    expect(await receiptHours()).toMatchObject([{ receipts: 1 }, { receipts: 1 }]);
    expect(await counters()).toEqual({
      publishedSeq: 5,
      billedRequests: 2,
      receiptMatchedRequests: 1,
      missedRequests: 1,
    });
  });

  it('are numbered per account', async () => {
    await publish(usageItem(request()));
    const other = newId('acct', Date.now());
    await project(db, other, [{ seq: 1, item: { kind: 'usage', accountId: other, requests: [request()] } }]);
    expect(await counters()).toMatchObject({ publishedSeq: 1, billedRequests: 1 });
    expect(await nodeHours()).toMatchObject([{ requests: 2 }]);
  });

  it('leave nothing behind when D1 refuses one statement', async () => {
    await env.DB.exec('ALTER TABLE ledger_entry RENAME TO ledger_entry_away');
    await expect(publish(usageItem(request()), entryOf([request()]))).rejects.toThrow();
    await env.DB.exec('ALTER TABLE ledger_entry_away RENAME TO ledger_entry');
    expect([await ofAccount(), await counters()]).toEqual([[], undefined]);
  });
});

function entryOf(requests: readonly UsageRecord[]): OutboxItem {
  const charge = requests.reduce((sum, { chargeNanoUsd }) => sum + chargeNanoUsd, 0);
  const entry = {
    seq: 2,
    atMs: NOON,
    kind: 'charge' as const,
    reference: chargeReference(requests.map(({ requestId }) => requestId)),
    grantedNanoUsd: nanoUsd(0),
    paidNanoUsd: nanoUsd(-charge),
    balanceNanoUsd: nanoUsd(1),
    hash: 'f'.repeat(64),
  };
  return { kind: 'entry', accountId, entry };
}

describe('rollups', () => {
  it('are the sums of the requests, by hour, key, model and node, at each request’s own price', async () => {
    const dear = { ...price, id: 'deepseek-r1-0528/standard/2', cacheMissNanoUsd: 1_140 };
    await publish(
      usageItem(
        request({ usage: { ...usage(30, 10, 100), reasoningTokens: 60 } }),
        request({ price: dear }),
        request({ keyId: 'key_2', nodeId: null, state: 'voided', chargeNanoUsd: nanoUsd(0) }),
      ),
      usageItem(request({ modelId: 'deepseek-v3-0324', admittedAtMs: NOON + HOUR_MS - 1 })),
    );
    expect((await hours()).toSorted((a, b) => b.requests - a.requests)).toMatchObject([
      {
        hourMs: NOON,
        keyId: 'key_1',
        requests: 2,
        cachedTokens: 20,
        uncachedTokens: 40,
        reasoningTokens: 60,
        answerTokens: 140,
        cacheSavingNanoUsd: 10 * (550 - 140) + 10 * (1_140 - 140),
      },
      { keyId: 'key_1', modelId: 'deepseek-v3-0324', requests: 1 },
      { keyId: 'key_2', requests: 1, chargeNanoUsd: 0 },
    ]);
    expect(await nodeHours()).toMatchObject([
      { requests: 3, promptTokens: 90, cachedTokens: 30, completionTokens: 300, grantedNanoUsd: 3_000 },
    ]);
    expect(await counters()).toMatchObject({ billedRequests: 3 });
  });

  it('of receipts keep when the newest arrived and when its request ended', async () => {
    const [first, second] = [request(), request()];
    await publish(usageItem(first, second), matchedItem(5));
    await publish(
      receiptItem(first.requestId, { promptTokens: 0, completionTokens: 7, reason: 'undelivered' }),
    );
    await publish(receiptItem(newId('req', NOON), null));
    expect((await receiptHours()).toSorted((a, b) => a.reason.localeCompare(b.reason))).toMatchObject([
      { reason: '', receipts: 5, promptTokens: 150, newestReceivedAtMs: NOON, newestEndedAtMs: NOON - 700 },
      {
        reason: 'undelivered',
        receipts: 1,
        completionTokens: 107,
        writtenOffCompletionTokens: 7,
        newestReceivedAtMs: NOON + 1_000,
        newestEndedAtMs: NOON + 500,
      },
      { reason: 'unknown_request', receipts: 1, newestEndedAtMs: 0 },
    ]);
  });

  it('of nodes stay open, are read all the same, and go to their tables when they are many or old', async () => {
    const stored = () => db.select().from(nodeHour).where(eq(nodeHour.nodeId, nodeId));
    const read = async () => {
      const filter = { nodeIds: [nodeId], fromMs: 0, bucketMs: HOUR_MS };
      const requests = (await listNodeBuckets(db, filter)).reduce((sum, row) => sum + row.requests, 0);
      const counted = (await db.all<CountedTokens>(countedTokensSince(0))).filter(
        (row) => row.nodeId === nodeId,
      );
      return { requests, receipts: counted.reduce((sum, row) => sum + row.receipts, 0) };
    };
    await env.DB.prepare(
      `INSERT INTO node (id, name, model_id, hardware, url, public_key, capacity, engine_version, weight_version, state, enrolled_at_ms)
       VALUES (?, 'n', 'deepseek-r1-0528', '8xh200', 'https://n', 'k', 600, '1', '1', 'active', 0)`,
    )
      .bind(nodeId)
      .run();
    await publish(usageItem(request(), request()), matchedItem(2));
    expect([await stored(), await read()]).toEqual([[], { requests: 2, receipts: 2 }]);
    await closeOpenSums(db, NOON);
    expect(await stored()).toEqual([]);
    await closeOpenSums(db, NOON + 1);
    expect([(await stored()).length, await read()]).toEqual([1, { requests: 2, receipts: 2 }]);
    const hours = Array.from({ length: 30 }, (_, i) => request({ admittedAtMs: NOON + i * HOUR_MS }));
    await publish(usageItem(...hours));
    expect([(await stored()).length, await read()]).toEqual([30, { requests: 32, receipts: 2 }]);
  });

  it('that are closed between a publication’s read and its batch are counted once', async () => {
    await publish(usageItem(request()));
    const real = env.DB.batch.bind(env.DB);
    let closings = 0;
    const other = database({
      DB: new Proxy(env.DB, {
        get: (target, name) =>
          name === 'batch'
            ? async (statements: D1PreparedStatement[]) => {
                if (closings++ === 0) await closeOpenSums(db, Number.MAX_SAFE_INTEGER);
                return real(statements);
              }
            : Reflect.get(target, name).bind(target),
      }),
    });
    await project(other, accountId, numbered([usageItem(request())]));
    expect(await nodeHours()).toMatchObject([{ requests: 2 }]);
    expect(await hours()).toMatchObject([{ requests: 2 }]);
  });

  it('of a key show its last use, and never move it back', async () => {
    const account = await newAccount();
    const { row: key } = await createKey(db, await pepperKey(config(env)), {
      accountId: account,
      name: 'k',
      nowMs: 1,
    });
    const lastUsed = async () => (await findKey(db, { accountId: account, keyId: key.id }))!.lastUsedAtMs;
    const publish = (item: OutboxItem) => project(db, account, numbered([item]));
    await publish(usageItem(request({ keyId: key.id, admittedAtMs: NOON + 5 }), request({ keyId: key.id })));
    expect(await lastUsed()).toBe(NOON + 5);
    await publish(usageItem(request({ keyId: key.id })));
    await publish(usageItem(request({ keyId: key.id, admittedAtMs: NOON + 60_000 })));
    expect(await lastUsed()).toBe(NOON + 60_000);
    await closeOpenSums(db, Number.MAX_SAFE_INTEGER);
    expect(await lastUsed()).toBe(NOON + 60_000);
    await publish(usageItem(request({ keyId: key.id, admittedAtMs: NOON + 60_005 })));
    expect(await lastUsed()).toBe(NOON + 60_005);
  });
});

describe('a charge that is not usage × the price that D1 has', () => {
  const findings = () =>
    db
      .select()
      .from(drift)
      .where(and(eq(drift.accountId, accountId), eq(drift.kind, 'price')));

  it('is found by its request, among many that are right', async () => {
    const wrong = request({ chargeNanoUsd: nanoUsd(231_401) });
    const unpriced = request({ price: { ...price, id: 'no/such/price' } });
    await publish(usageItem(request(), wrong, request()), usageItem(unpriced));
    const found = await findings();
    expect(found.map(({ requestId }) => requestId).toSorted()).toEqual(
      [wrong.requestId, unpriced.requestId].toSorted(),
    );
    expect(found.find(({ requestId }) => requestId === wrong.requestId)!.detail).toEqual({
      priceId: price.id,
      charged: 231_401,
      recomputed: 231_400,
    });
    await publish(usageItem(request()));
    expect(await findings()).toHaveLength(2);
  });

  it('is not found where there is none', async () => {
    await publish(usageItem(...Array.from({ length: 20 }, () => request())));
    expect(await findings()).toEqual([]);
  });
});

describe('a receipt', () => {
  const writeOff = { promptTokens: 0, completionTokens: 7, reason: 'undelivered' } as const;
  const rows = () => db.select().from(nodeReceipt).where(eq(nodeReceipt.accountId, accountId));

  it('that differs has a row; from the node that was billed it counts as matched', async () => {
    const billed = request();
    await publish(
      usageItem(billed),
      receiptItem(billed.requestId, writeOff),
      receiptItem(billed.requestId, { ...writeOff, reason: 'retried_elsewhere' }, { nodeId: 'node_other' }),
    );
    expect(await rows()).toHaveLength(2);
    expect(await counters()).toMatchObject({ billedRequests: 1, receiptMatchedRequests: 1 });
  });

  it('of a request that only D1 remembers is compared with what was billed', async () => {
    const billed = request();
    await publish(usageItem(billed), missingItem(billed.requestId));
    await publish(receiptItem(billed.requestId, null));
    expect(await rows()).toMatchObject([{ writtenOffCompletionTokens: 7, writeOffReason: 'undelivered' }]);
    expect(await counters()).toMatchObject({
      billedRequests: 1,
      receiptMatchedRequests: 1,
      missedRequests: 0,
    });
    const [finding] = await db.select().from(drift).where(eq(drift.requestId, billed.requestId));
    expect(finding!.resolvedAtMs).toBe(NOON + 1_000);
  });

  it('that is resent after its Wallet has forgotten it is not counted again', async () => {
    const [same, other] = [request(), request()];
    await publish(usageItem(same, other), matchedItem(1), receiptItem(other.requestId, writeOff));
    await publish(
      receiptItem(same.requestId, null, { completionTokens: 100 }),
      receiptItem(other.requestId, null),
    );
    expect(await rows()).toHaveLength(1);
    expect(await counters()).toMatchObject({ billedRequests: 2, receiptMatchedRequests: 2 });
    const counted = (await receiptHours()).reduce((sum, { receipts }) => sum + receipts, 0);
    expect(counted).toBe(2);
  });

  it('that arrives late resolves its missing-receipt finding, also when both are published at once', async () => {
    const [one, two, three] = [request(), request(), request()];
    await publish(
      usageItem(one, two, three),
      ...[one, two, three].map(({ requestId }) => missingItem(requestId)),
      matchedItem(1, [one.requestId]),
      receiptItem(two.requestId, writeOff, { late: true }),
    );
    expect(await counters()).toMatchObject({
      billedRequests: 3,
      receiptMatchedRequests: 2,
      missedRequests: 1,
    });
    const open = await db.select().from(drift).where(eq(drift.accountId, accountId));
    expect(open.filter(({ resolvedAtMs }) => resolvedAtMs === null).map((row) => row.requestId)).toEqual([
      three.requestId,
    ]);
  });
});

describe('rows written', () => {
  /** The number of rows that D1 bills for publishing these items. */
  async function written(...items: OutboxItem[]): Promise<number> {
    let rows = 0;
    const counting = database({
      DB: new Proxy(env.DB, {
        get: (target, name) =>
          name === 'batch'
            ? async (statements: D1PreparedStatement[]) => {
                const results = await target.batch(statements);
                rows = results.reduce((sum, { meta }) => sum + meta.rows_written, 0);
                return results;
              }
            : Reflect.get(target, name).bind(target),
      }),
    });
    await project(counting, accountId, numbered(items));
    return rows;
  }

  it.each([1, 50, 1_000])('are one per request and three per batch, for %i requests', async (count) => {
    await written(usageItem(request()), matchedItem(1));
    const requests = Array.from({ length: count }, (_, i) => request({ admittedAtMs: NOON + i }));
    const rows = await written(usageItem(...requests), entryOf(requests), matchedItem(count));
    // The account's hour, the `projection` row with the sums of the node, and an entry without an index.
    expect(rows - count).toBe(3);
    expect(await db.select().from(ledgerEntry).where(eq(ledgerEntry.accountId, accountId))).toHaveLength(1);
  });

  it('take several statements when a text would be too long for one', async () => {
    const long = 'm'.repeat(2_000);
    const requests = Array.from({ length: 1_000 }, () => request({ modelId: long }));
    await publish(usageItem(...requests));
    expect(await counters()).toMatchObject({ publishedSeq: 1, billedRequests: 1_000 });
    const [row] = await db.all<{ n: number }>(
      `select count(*) as n from usage_event where account_id = '${accountId}'`,
    );
    expect(row!.n).toBe(1_000);
  });
});
