/** Readers of archived months: pages, the API and exports find each request once, and nobody else's. */
import { beforeEach, describe, expect, it } from 'vitest';
import { listAllBuckets } from '../../../worker/archive/buckets.ts';
import { exportAccount } from '../../../worker/archive/export.ts';
import { projectedEntriesBefore } from '../../../worker/archive/ledger.ts';
import { findAccountOfRequest, findArchivedRequest } from '../../../worker/archive/requests.ts';
import { database } from '../../../worker/db/client.ts';
import { project } from '../../../worker/db/projection.ts';
import { firstRequestAtMs } from '../../../worker/db/usage.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { formats } from '../../../worker/i18n/formats.ts';
import { MESSAGES } from '../../../worker/i18n/locale.ts';
import { findAccountRequest } from '../../../worker/wallet/find-request.ts';
import { ledgerPage } from '../../../worker/wallet/ledger-page.ts';
import { Browser } from '../portal/browser.ts';
import { operatorBrowser, textOf } from '../portal/operator/console.ts';
import { env } from '../wallet/fixtures.ts';
import {
  customerWithPast,
  exported,
  listedIds,
  MINUTE_MS,
  NOW,
  objectsOf,
  requestAt,
  run,
  runAll,
  setTime,
} from './fixtures.ts';

type Past = Awaited<ReturnType<typeof customerWithPast>>;
let past: Past;

/** A person whose account has the past of `customerWithPast`. */
async function person(): Promise<Browser> {
  const browser = new Browser();
  await browser.signUp();
  const page = await (await browser.get('/keys')).text();
  const keyId = /key_[0-9a-z]{26}/.exec(page)![0];
  const row = await env.DB.prepare('SELECT account_id FROM api_key WHERE id = ?').bind(keyId).first();
  past = await customerWithPast(String(row!.account_id));
  return browser;
}

describe('a request of an archived month', () => {
  beforeEach(async () => {
    past = await customerWithPast();
  });

  it('is the same before and after, with its price and charge, and its receipts', async () => {
    const { accountId, requestIds } = past;
    const before = [];
    for (const requestId of requestIds)
      before.push((await findAccountRequest(env, { accountId, requestId }))!.record);
    await runAll();
    for (const [at, requestId] of requestIds.entries()) {
      const found = await findAccountRequest(env, { accountId, requestId });
      expect(found!.record).toEqual(before[at]);
      expect(found!.archived !== null).toBe(at < 5);
    }
    const { archived } = (await findAccountRequest(env, { accountId, requestId: requestIds[1]! }))!;
    expect(archived!.receipts).toMatchObject([{ accountId, requestId: requestIds[1], completionTokens: 23 }]);
  });

  it('is found by its id alone for operators, and never by another account', async () => {
    const { accountId, requestIds } = past;
    const other = await customerWithPast(newId('acct', Date.now()));
    await runAll();
    for (const requestId of requestIds) {
      expect(await findAccountOfRequest(env, requestId)).toBe(accountId);
      expect(await findAccountRequest(env, { accountId: other.accountId, requestId })).toBeNull();
      expect(await findArchivedRequest(env, { accountId: other.accountId, requestId })).toBeNull();
    }
    expect(await listedIds(other.accountId)).toEqual([...other.requestIds].reverse());
    const neighbour = newId('req', Date.UTC(2026, 5, 10, 0, 0, 30));
    expect(await findAccountRequest(env, { accountId, requestId: neighbour })).toBeNull();
  });

  it('is not shown when its part is missing: an error is better than a wrong page', async () => {
    await runAll();
    const { named } = await objectsOf(past.accountId);
    await env.ARCHIVE.delete(named.find((key) => key.includes('/requests/2026-06/'))!);
    await expect(listedIds(past.accountId)).rejects.toThrow(/part 1 of the archived requests/);
    await expect(
      findAccountRequest(env, { accountId: past.accountId, requestId: past.requestIds[0]! }),
    ).rejects.toThrow(/is not in the archive/);
  });

  it('still counts as the first one that the account made', async () => {
    const db = database(env);
    const before = await firstRequestAtMs(db, past.accountId);
    await runAll();
    expect(await firstRequestAtMs(db, past.accountId)).toBe(before);
  });
});

describe('sums and ledgers of archived months', () => {
  beforeEach(async () => {
    past = await customerWithPast();
  });

  it('by the minute are the same before and after, in pages too', async () => {
    const { accountId } = past;
    const fromMs = Date.UTC(2026, 5, 10);
    const query = {
      accountId,
      width: 'minute',
      fromMs,
      toMs: fromMs + 30 * MINUTE_MS,
      nowMs: NOW,
      after: null,
    } as const;
    const asked = [
      { ...query, keyId: null, modelId: null, byKey: true, byModel: true, limit: 10 },
      { ...query, keyId: null, modelId: null, byKey: false, byModel: false, limit: 1 },
      { ...query, keyId: 'key_1', modelId: null, byKey: true, byModel: false, limit: 10 },
      { ...query, keyId: null, modelId: 'none', byKey: true, byModel: true, limit: 10 },
    ];
    const before = await Promise.all(asked.map((each) => listAllBuckets(env, each)));
    expect(before.map((rows) => rows.length)).toEqual([2, 1, 1, 0]);
    await runAll();
    expect(await Promise.all(asked.map((each) => listAllBuckets(env, each)))).toEqual(before);
    const [first, second] = before[0]!;
    expect(await listAllBuckets(env, { ...asked[0]!, after: first! })).toEqual([second]);
    // A late request of an archived minute is added to its bucket.
    await project(database(env), accountId, [
      {
        seq: 1_000,
        item: { kind: 'usage', accountId, requests: [requestAt(fromMs, { keyId: first!.keyId })] },
      },
    ]);
    const [changed] = await listAllBuckets(env, asked[0]!);
    expect(changed).toEqual({ ...first, requests: 2 });
  });

  it('page through every entry, newest first', async () => {
    const { accountId } = past;
    const entries = async () => {
      const seqs: number[] = [];
      for (let beforeSeq: number | null = 1_000; beforeSeq !== null; ) {
        const page = await ledgerPage(env, accountId, { beforeSeq, limit: 3 });
        seqs.push(...page.entries.map(({ seq }) => seq));
        beforeSeq = page.nextBeforeSeq;
      }
      return seqs;
    };
    const before = await entries();
    const projected = await projectedEntriesBefore(env, { accountId, beforeSeq: 7, limit: 4 });
    await runAll();
    expect(await entries()).toEqual(before);
    expect(await projectedEntriesBefore(env, { accountId, beforeSeq: 7, limit: 4 })).toEqual(projected);
    expect(projected.map(({ seq }) => seq)).toEqual([6, 5, 4, 3]);
  });
});

describe('an export', () => {
  it('has each request and entry once, also when they move to the archive while it runs', async () => {
    past = await customerWithPast();
    const { accountId, requestIds } = past;
    const entries = (await exported(accountId, 'ledger_entry')).map(({ seq }) => seq);
    const rows: Record<string, unknown>[] = [];
    // After each row that is sent a row leaves D1, from the oldest on: what was sent, and what will be.
    for await (const row of exportAccount(env, accountId)) {
      rows.push(row);
      await run(env, { rowsMax: 1 });
    }
    expect(rows.filter(({ table }) => table === 'request').map(({ requestId }) => requestId)).toEqual(
      requestIds,
    );
    expect(rows.filter(({ table }) => table === 'ledger_entry').map(({ seq }) => seq)).toEqual(entries);
  });
});

describe('the pages', () => {
  it('show archived requests: the list, one with its receipt, and the JSON by an API key', async () => {
    const browser = await person();
    setTime(NOW);
    await runAll();
    const [first, second] = past.requestIds;
    const html = await (await browser.get('/requests?period=all')).text();
    for (const id of past.requestIds) expect(html).toContain(`/requests/${id}`);
    const text = await textOf(browser.get(`/requests/${second}`));
    expect(text).toContain(second);
    expect(text).toContain('23');
    expect((await new Browser().get(`/requests/${first}`)).status).not.toBe(200);
    const stranger = new Browser();
    await stranger.signUp();
    expect((await stranger.get(`/requests/${first}`)).status).toBe(404);
    const ndjson = await (await browser.get('/account/export')).text();
    expect(ndjson.split('\n').filter((line) => line.includes(`"requestId":"${first}"`))).toHaveLength(1);
  });

  it('tell the operator how full the database is, and which account could not be archived', async () => {
    const names = MESSAGES.en.operator.reconciliation;
    // Archiving takes hours of virtual time, in which an operator's session ends.
    const page = async () => textOf((await operatorBrowser()).get('/operator/reconciliation'));
    await runAll();
    const text = await page();
    expect(text).toContain(names.storageTitle);
    expect(text).toContain(`${names.keptFrom} ${formats('en').date(Date.UTC(2026, 8, 1))}`);
    expect(text).toContain('of 10 GB');
    expect(text).not.toContain('Archiving account');
    past = await customerWithPast(newId('acct', Date.now()));
    const failing = new Proxy(env.ARCHIVE, { get: () => () => Promise.reject(new Error('no')) });
    await run({ ...env, ARCHIVE: failing });
    expect(await page()).toContain(`Archiving account ${past.accountId} failed`);
    await runAll();
    await runAll();
    expect(await page()).not.toContain('Archiving account');
  });
});
