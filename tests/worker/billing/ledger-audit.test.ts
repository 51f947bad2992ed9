import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { beforeEach, describe, expect, it } from 'vitest';
import { auditLedgerPage } from '../../../worker/billing/ledger-audit.ts';
import { database } from '../../../worker/db/client.ts';
import { findChargedRequests } from '../../../worker/db/ledger-audit.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { AUDIT_START } from '../../../worker/domain/ledger-audit.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import { env, limited, price } from '../wallet/fixtures.ts';

let accountId: string;
let requestId: string;

/** Three charges on a dollar of credit, published to D1. */
beforeEach(async () => {
  accountId = newId('acct', Date.now());
  const wallet = env.WALLET.getByName(accountId);
  await wallet.grant({ grantId: 'trial', amountNanoUsd: usd(1) });
  for (let i = 0; i < 3; i++) {
    requestId = newId('req', Date.now());
    await wallet.admit({
      requestId,
      keyId: 'key_1',
      modelId: 'deepseek-r1-0528',
      stream: true,
      limits: limited(),
      tokens: 0,
      price,
      background: false,
      hold: { wantedNanoUsd: nanoUsd(1_000_000), leastNanoUsd: nanoUsd(1) },
    });
    const usage = { promptTokens: 10, cachedTokens: 4, completionTokens: 5 + i, reasoningTokens: 1 };
    await wallet.post({ requestId, nodeId: 'node_a', usage, ending: 'finished', ttftMs: 1 });
  }
  await runDurableObjectAlarm(wallet);
});

const audit = async () =>
  (await auditLedgerPage(env, accountId, AUDIT_START)).findings.map(({ about, what }) => `${about} ${what}`);
const d1 = (sql: string) => env.DB.prepare(sql).run();
/** A change that only somebody with direct access to the database can make. */
const unguardedD1 = async (trigger: string, sql: string) => {
  await d1(`DROP TRIGGER IF EXISTS ${trigger}`);
  await d1(sql);
};
const inWallet = (sql: string) =>
  runInDurableObject(env.WALLET.getByName(accountId), (_, state) => {
    state.storage.sql.exec(sql);
  });

describe('entries', () => {
  it.each([['UPDATE entry SET at_ms = 0', 'DELETE FROM entry']])(
    'of a Wallet are never changed or removed',
    async (...statements) => {
      for (const sql of statements) await expect(inWallet(sql)).rejects.toThrow(/never/);
    },
  );

  it.each([
    'UPDATE ledger_entry SET at_ms = 0',
    'DELETE FROM ledger_entry',
    'DELETE FROM usage_event',
    'UPDATE price SET output_nano_usd = 1',
    'DELETE FROM price',
  ])('of D1 are never changed or removed: %s', async (sql) => {
    await expect(d1(sql)).rejects.toThrow(/never/);
  });
});

describe('the audit', () => {
  it('finds nothing in a ledger that agrees', async () => {
    expect(await auditLedgerPage(env, accountId, AUDIT_START)).toMatchObject({
      findings: [],
      checked: 4,
      complete: true,
    });
  });

  it.each<[string, () => Promise<unknown>, RegExp]>([
    [
      'an entry changed in the Wallet',
      () =>
        inWallet(
          'DROP TRIGGER entry_is_never_changed; UPDATE entry SET paid_nano_usd = paid_nano_usd + 1 WHERE seq = 3',
        ),
      /entry 3 .*hash/,
    ],
    [
      'an entry removed from the Wallet',
      () => inWallet('DROP TRIGGER entry_is_never_removed; DELETE FROM entry WHERE seq = 3'),
      /entry 4 .*1 missing/,
    ],
    [
      'a balance that is not the sum',
      async () => {
        await inWallet('UPDATE checkpoint SET granted_nano_usd = granted_nano_usd + 1');
        await evictDurableObject(env.WALLET.getByName(accountId));
      },
      /the balance is \d+, the entries sum to \d+/,
    ],
    [
      'an entry changed in D1',
      () =>
        unguardedD1(
          'ledger_entry_keeps_its_rows',
          `UPDATE ledger_entry SET at_ms = 0 WHERE account_id = '${accountId}' AND seq = 2`,
        ),
      /entry 2 .*differs in D1/,
    ],
    [
      'an entry missing in D1',
      () =>
        unguardedD1(
          'ledger_entry_keeps_all_rows',
          `DELETE FROM ledger_entry WHERE account_id = '${accountId}' AND seq = 2`,
        ),
      /entry 2 .*missing in D1/,
    ],
    [
      'a request missing in D1',
      () =>
        unguardedD1(
          'usage_event_keeps_all_rows',
          `DELETE FROM usage_event WHERE request_id = '${requestId}'`,
        ),
      /has no request in D1/,
    ],
    [
      'tokens that do not make the charge',
      () => d1(`UPDATE usage_event SET completion_tokens = 99 WHERE request_id = '${requestId}'`),
      /tokens × deepseek-r1-0528\/standard\/1 is/,
    ],
    [
      'a charge that differs',
      () => d1(`UPDATE usage_event SET charge_nano_usd = 1 WHERE request_id = '${requestId}'`),
      /its requests in D1 sum to 1/,
    ],
    [
      'a rollup that is not the sum',
      () => d1(`UPDATE usage_hour SET requests = 9 WHERE account_id = '${accountId}'`),
      /hour .*its rollup says 9/,
    ],
    [
      'a rollup that is missing',
      () => d1(`DELETE FROM usage_hour WHERE account_id = '${accountId}'`),
      /its rollup says 0/,
    ],
  ])('finds %s', async (_, tamper, finding) => {
    await tamper();
    expect(await audit()).toEqual(expect.arrayContaining([expect.stringMatching(finding)]));
  });

  it('continues where the previous page ended', async () => {
    const { mark } = await auditLedgerPage(env, accountId, AUDIT_START);
    expect(mark.seq).toBe(4);
    expect(await auditLedgerPage(env, accountId, mark)).toMatchObject({
      findings: [],
      checked: 0,
      complete: true,
    });
    const wrong = await auditLedgerPage(env, accountId, { ...mark, seq: 2 });
    expect(wrong.findings.length).toBeGreaterThan(0);
  });
});

describe('the requests that entries charged', () => {
  /** Inserts requests of the account; `entryOf` is SQL for the entry of the request with number i. */
  const insert = (count: number, entryOf: string) =>
    d1(`INSERT INTO usage_event
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
      SELECT '${accountId}', printf('req_%026d', i), 'key_1', 'm', 'node_a', 1, 2, 'posted', 'finished', 1, 10, 4, 5, 1,
        '${price.id}', 1, 0, ${entryOf}, 1 FROM n`);
  const span = (first: number, last: number) => ({
    first: `req_${String(first).padStart(26, '0')}`,
    last: `req_${String(last).padStart(26, '0')}`,
  });

  it('are those in the id span that name the entry, and no others in between', async () => {
    await insert(20, 'CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN 91 WHEN 2 THEN 92 ELSE 93 END');
    const range = { accountId, afterSeq: 90, toSeq: 92 };
    const found = await findChargedRequests(database(env), range, span(2, 13));
    expect(found.map(({ requestId, entrySeq }) => [Number(requestId.slice(4)), entrySeq])).toEqual([
      [2, 92],
      [5, 91],
      [6, 92],
      [9, 91],
      [10, 92],
      [13, 91],
    ]);
    expect(found[0]).toMatchObject({ usage: { promptTokens: 10, cachedTokens: 4 }, price, chargeNanoUsd: 1 });
  });

  it('are complete when they need more than one query', async () => {
    await insert(5_003, '91');
    const found = await findChargedRequests(
      database(env),
      { accountId, afterSeq: 90, toSeq: 91 },
      span(1, 6_000),
    );
    expect(new Set(found.map(({ requestId }) => requestId)).size).toBe(5_003);
  });
});
