/** Checks the laws of money (tests/laws) on every Wallet that a test used, when the test ends. */
import { runInDurableObject } from 'cloudflare:test';
import { afterEach, expect } from 'vitest';
import type { Wallet } from '../../../worker/wallet/wallet.ts';
import { brokenLaws } from '../../laws/laws.ts';
import { requestsOfGroups } from '../../laws/settlement-group-rows.ts';
import type { AccountRows, RequestRow, SettlementGroupRow } from '../../laws/world.ts';

const TABLES = ['entry', 'lease', 'receipt', 'token_spend', 'replay'] as const;

const checkedWallets = new Map<string, DurableObjectStub<Wallet>>();

/** Has the Wallet's rows checked when the test ends. */
export function checkedAtEnd(
  accountId: string,
  wallet: DurableObjectStub<Wallet>,
): DurableObjectStub<Wallet> {
  checkedWallets.set(accountId, wallet);
  return wallet;
}

afterEach(async () => {
  const accounts = await Promise.all(
    [...checkedWallets].map(([accountId, wallet]) => rowsOf(accountId, wallet)),
  );
  checkedWallets.clear();
  expect(brokenLaws({ final: false, accounts })).toEqual([]);
});

function rowsOf(accountId: string, wallet: DurableObjectStub<Wallet>): Promise<AccountRows> {
  return runInDurableObject(wallet, (_, { storage: { sql } }) => {
    const rows = <T>(table: string) => sql.exec(`SELECT * FROM ${table}`).toArray() as T[];
    const tables = TABLES.map((table) => [table, rows(table)]);
    const page = rows<SettlementGroupRow>('page');
    const request = [...rows<RequestRow>('request'), ...requestsOfGroups(page)];
    const credit = sql.exec('SELECT * FROM credit').one();
    const key_spend = rows('spend');
    return {
      accountId,
      credit,
      page,
      request,
      key_spend,
      ...Object.fromEntries(tables),
    } as unknown as AccountRows;
  });
}
