/** A Wallet's oldest entries are folded into an opening: no credit is lost or given twice, and the chain still verifies. */
import { runInDurableObject } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { auditLedgerPage } from '../../../worker/billing/ledger-audit.ts';
import { openingState } from '../../../worker/domain/ledger.ts';
import { AUDIT_START, checkOpening, cursorAt } from '../../../worker/domain/ledger-audit.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import { RETENTION_DAYS } from '../../../worker/domain/retention.ts';
import { FOLD_ENTRIES_MIN, foldEntries } from '../../../worker/wallet/fold.ts';
import { Ledger } from '../../../worker/wallet/ledger.ts';
import { ledgerPage } from '../../../worker/wallet/ledger-page.ts';
import { LedgerStore } from '../../../worker/wallet/ledger-store.ts';
import { OutboxStore } from '../../../worker/wallet/outbox-store.ts';
import { env, limited, passTime, publish, usage, walletWith } from './fixtures.ts';

const DAY_MS = 86_400_000;
/** Days until entries are folded, and one more. */
const OLD_DAYS = RETENTION_DAYS.wallet_entry + 1;

/** An account with a grant, a top-up, a refund and as many charges as make the least fold; D1 has all of it. */
async function oldLedger() {
  const account = await walletWith(usd(1));
  const { wallet, charge } = account;
  await wallet.topUp({ orderId: 'order_1', amountNanoUsd: usd(5) });
  await wallet.correct({ reference: 'order_1/1', amountNanoUsd: nanoUsd(-1_000) });
  for (let i = 3; i < FOLD_ENTRIES_MIN; i++) await charge(usage(10, 4, 5));
  await publish(wallet);
  return account;
}

type Account = Awaited<ReturnType<typeof oldLedger>>;

/** Ages the ledger and lets its next alarm fold it, which a new charge sets off. */
async function fold({ wallet, charge }: Account) {
  passTime(OLD_DAYS * DAY_MS);
  await charge(usage(10, 4, 5));
  await publish(wallet);
}

const seqsOf = ({ wallet }: Account) =>
  runInDurableObject(wallet, (_, { storage: { sql } }) =>
    sql
      .exec('SELECT seq FROM entry ORDER BY seq')
      .toArray()
      .map(({ seq }) => seq as number),
  );
const inWallet = ({ wallet }: Account, sql: string) =>
  runInDurableObject(wallet, (_, state) => void state.storage.sql.exec(sql));
const d1 = (sql: string) => env.DB.prepare(sql).run();

/** Every finding of an audit from the first entry to the last. */
async function audit({ accountId, wallet }: Account) {
  await publish(wallet);
  const findings: string[] = [];
  let checked = 0;
  for (let mark = AUDIT_START; ; ) {
    const page = await auditLedgerPage(env, accountId, mark);
    findings.push(...page.findings.map(({ about, what }) => `${about} ${what}`));
    checked += page.checked;
    mark = page.mark;
    if (page.complete) return { findings, checked };
  }
}

describe('old entries', () => {
  it('become one opening that names their number, their end and their sums', async () => {
    const account = await oldLedger();
    const before = await account.wallet.balance();
    const { entries } = await account.wallet.ledger({ limit: 1 });
    await fold(account);
    expect(await seqsOf(account)).toEqual([FOLD_ENTRIES_MIN + 1, FOLD_ENTRIES_MIN + 2]);
    const [opening] = (await account.wallet.ledger({ limit: 1 })).entries;
    expect(opening).toMatchObject({ kind: 'opening', grantedNanoUsd: 0, paidNanoUsd: 0 });
    expect(openingState(opening!.reference)).toEqual({
      seq: FOLD_ENTRIES_MIN,
      hash: entries[0]!.hash,
      grantedNanoUsd: before.grantedNanoUsd,
      paidNanoUsd: before.paidNanoUsd,
    });
    const charged = 4 * 140 + 6 * 550 + 5 * 2_190;
    expect((await account.wallet.balance()).availableNanoUsd).toBe(before.availableNanoUsd - charged);
  });

  it('are folded again later, together with the opening before', async () => {
    const account = await oldLedger();
    await fold(account);
    for (let i = 0; i < FOLD_ENTRIES_MIN; i++) await account.charge(usage(10, 4, 5));
    await publish(account.wallet);
    await fold(account);
    const seqs = await seqsOf(account);
    expect(seqs[0]).toBe(2 * FOLD_ENTRIES_MIN + 3);
    expect(await audit(account)).toEqual({ findings: [], checked: seqs.at(-1) });
  });

  it('stay while they are younger, or too few', async () => {
    const account = await oldLedger();
    passTime((RETENTION_DAYS.wallet_entry - 1) * DAY_MS);
    await account.charge(usage(10, 4, 5));
    await publish(account.wallet);
    expect(await seqsOf(account)).toHaveLength(FOLD_ENTRIES_MIN + 1);
    const few = await walletWith(usd(1));
    passTime(OLD_DAYS * DAY_MS);
    await few.charge(usage(10, 4, 5));
    await publish(few.wallet);
    expect(await seqsOf(few)).toEqual([1, 2]);
  });

  it('stay while D1 has not confirmed them', async () => {
    const account = await oldLedger();
    const result = await runInDurableObject(account.wallet, (_, { storage: { sql } }) => {
      const outboxStore = new OutboxStore(sql);
      outboxStore.enqueue({ kind: 'entry', accountId: account.accountId, entry: { seq: FOLD_ENTRIES_MIN } });
      const ledgerStore = new LedgerStore(sql);
      const deps = {
        firstUnpublishedSeq: () => outboxStore.firstUnpublishedSeq(),
        checkpoint: () => {},
        ledgerStore,
        ledger: new Ledger(ledgerStore, () => {}),
      };
      const times = { beforeMs: Number.MAX_SAFE_INTEGER, nowMs: Date.now() };
      const unconfirmed = foldEntries(deps, times);
      sql.exec('DELETE FROM outbox');
      return unconfirmed;
    });
    expect(result).toBe('none');
    expect(await seqsOf(account)).toHaveLength(FOLD_ENTRIES_MIN);
  });

  it('stay as evidence when their chain does not verify', async () => {
    const account = await oldLedger();
    const hash = 'a'.repeat(64);
    await inWallet(
      account,
      `DROP TRIGGER entry_is_never_changed; UPDATE entry SET hash = '${hash}' WHERE seq = 7`,
    );
    passTime(OLD_DAYS * DAY_MS);
    await account.charge(usage(10, 4, 5));
    await publish(account.wallet);
    expect(await seqsOf(account)).toHaveLength(FOLD_ENTRIES_MIN + 1);
    // The laws check every Wallet when a test ends, so the entry gets its hash back.
    const repaired = await env.DB.prepare('SELECT hash FROM ledger_entry WHERE account_id = ? AND seq = 7')
      .bind(account.accountId)
      .first<{ hash: string }>();
    await inWallet(account, `UPDATE entry SET hash = '${repaired!.hash}' WHERE seq = 7`);
  });

  it('are all there after a crash in the middle of a fold', async () => {
    const account = await oldLedger();
    await inWallet(
      account,
      "CREATE TRIGGER crash BEFORE INSERT ON folded BEGIN SELECT RAISE(ABORT, 'the process ends here'); END",
    );
    await fold(account);
    expect(await seqsOf(account)).toHaveLength(FOLD_ENTRIES_MIN + 1);
    await inWallet(account, 'DROP TRIGGER crash');
    await publish(account.wallet);
    expect(await seqsOf(account)).toEqual([FOLD_ENTRIES_MIN + 1, FOLD_ENTRIES_MIN + 2]);
  });

  it('are removed by nothing else, and what credited them is kept for good', async () => {
    const account = await oldLedger();
    await expect(inWallet(account, 'DELETE FROM entry WHERE seq = 1')).rejects.toThrow(/never removed/);
    await fold(account);
    for (const sql of [
      'DELETE FROM entry',
      'UPDATE entry SET at_ms = 0',
      'DELETE FROM folded',
      'UPDATE folded SET seq = 0',
    ])
      await expect(inWallet(account, sql)).rejects.toThrow(/never/);
  });
});

describe('after a fold', () => {
  it('a payment, a grant and a refund that come again move nothing', async () => {
    const account = await oldLedger();
    await fold(account);
    const before = await account.wallet.balance();
    await account.wallet.grant({ grantId: 'trial', amountNanoUsd: usd(1) });
    await account.wallet.topUp({ orderId: 'order_1', amountNanoUsd: usd(5) });
    await account.wallet.correct({ reference: 'order_1/1', amountNanoUsd: nanoUsd(-1_000) });
    expect(await account.wallet.balance()).toEqual(before);
  });

  it('pages of the ledger go on into the folded entries, without a gap', async () => {
    const account = await oldLedger();
    await fold(account);
    const seqs: number[] = [];
    for (let beforeSeq: number | undefined; ; ) {
      const page = await ledgerPage(env, account.accountId, { beforeSeq, limit: 40 });
      seqs.push(...page.entries.map(({ seq }) => seq));
      if (page.nextBeforeSeq === null) break;
      beforeSeq = page.nextBeforeSeq;
    }
    const last = FOLD_ENTRIES_MIN + 2;
    expect(seqs).toEqual(Array.from({ length: last }, (_, i) => last - i));
  });

  it('the audit proves every entry, folded or not', async () => {
    const account = await oldLedger();
    await fold(account);
    expect(await audit(account)).toEqual({ findings: [], checked: FOLD_ENTRIES_MIN + 2 });
  });

  const CHANGES: [string, (account: Account) => Promise<unknown>, RegExp][] = [
    [
      'a folded entry that was changed in D1',
      async ({ accountId }) => {
        await d1('DROP TRIGGER IF EXISTS ledger_entry_keeps_its_rows');
        await d1(`UPDATE ledger_entry SET at_ms = 0 WHERE account_id = '${accountId}' AND seq = 9`);
      },
      /entry 9 .*hash/,
    ],
    [
      'the last folded entry missing in D1',
      async ({ accountId }) => {
        await d1('DROP TRIGGER IF EXISTS ledger_entry_keeps_all_rows');
        await d1(`DELETE FROM ledger_entry WHERE account_id = '${accountId}' AND seq = ${FOLD_ENTRIES_MIN}`);
      },
      /opening of \d+ entries has entries until \d+ only/,
    ],
    [
      'a folded charge that differs from what its requests cost',
      ({ accountId }) => d1(`UPDATE usage_event SET charge_nano_usd = 1 WHERE account_id = '${accountId}'`),
      /its requests in D1 sum to 1/,
    ],
  ];
  it.each(CHANGES)('the audit finds %s', async (_, tamper, finding) => {
    const account = await oldLedger();
    await fold(account);
    await tamper(account);
    expect((await audit(account)).findings).toEqual(expect.arrayContaining([expect.stringMatching(finding)]));
  });

  it('the audit finds an opening whose sums were changed, although its own hash was made to fit', async () => {
    const account = await oldLedger();
    await fold(account);
    const { opening } = await account.wallet.auditPage({ afterSeq: 0, limit: 1 });
    const shifted = {
      ...opening,
      grantedNanoUsd: nanoUsd(opening.grantedNanoUsd + 1),
      paidNanoUsd: nanoUsd(opening.paidNanoUsd - 1),
    };
    expect(checkOpening(cursorAt(opening), opening)).toEqual([]);
    expect(checkOpening(cursorAt(opening), shifted)).toMatchObject([
      { what: expect.stringMatching(/granted/) },
    ]);
  });
});

describe('the spend of past months', () => {
  it('is one row a key, and caps count it as before', async () => {
    const { wallet, charge } = await walletWith(usd(1));
    for (let i = 0; i < 3; i++) {
      await charge(usage(10, 4, 5), { keyId: 'key_1' });
      passTime(DAY_MS);
    }
    passTime(70 * DAY_MS);
    await charge(usage(10, 4, 5), { keyId: 'key_1' });
    const each = 4 * 140 + 6 * 550 + 5 * 2_190;
    const loads = () =>
      Promise.all(
        (['day', 'month', 'total'] as const).map(
          async (capPeriod) => (await wallet.load({ keyId: 'key_1', capPeriod })).spentNanoUsd,
        ),
      );
    await publish(wallet);
    expect(await loads()).toEqual([each, each, 4 * each]);
    const days = await runInDurableObject(wallet, (_, { storage: { sql } }) =>
      sql.exec('SELECT day FROM key_spend ORDER BY day').toArray(),
    );
    expect(days).toHaveLength(2);
    expect(days[0]).toEqual({ day: 0 });
    const capped = await charge(usage(10, 4, 5), {
      limits: limited({ capNanoUsd: nanoUsd(5 * each), capPeriod: 'total' }),
      wanted: each,
      least: each,
    }).then(() => 'admitted');
    expect(capped).toBe('admitted');
    await expect(
      charge(usage(10, 4, 5), {
        limits: limited({ capNanoUsd: nanoUsd(5 * each), capPeriod: 'total' }),
        wanted: each,
        least: each,
      }),
    ).rejects.toThrow('not admitted');
  });
});
