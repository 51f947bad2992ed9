/** Every history that a test of the Wallet makes ends before the laws of money; see tests/laws. */
import { runInDurableObject } from 'cloudflare:test';
import { afterEach, expect } from 'vitest';
import type { Wallet } from '../../../worker/wallet/wallet.ts';
import { brokenLaws } from '../../laws/laws.ts';
import { requestsOfGroups } from '../../laws/settlement-group-rows.ts';
import type { AccountRows, RequestRow, SettlementGroupRow } from '../../laws/world.ts';

const TABLES = ['entry', 'lease', 'receipt', 'key_spend', 'token_spend', 'replay'] as const;

const made = new Map<string, DurableObjectStub<Wallet>>();

/** From now to the end of the test this Wallet is one whose books will be looked at. */
export function watched(accountId: string, wallet: DurableObjectStub<Wallet>): DurableObjectStub<Wallet> {
  made.set(accountId, wallet);
  return wallet;
}

afterEach(async () => {
  const accounts = await Promise.all([...made].map(([accountId, wallet]) => booksOf(accountId, wallet)));
  made.clear();
  expect(brokenLaws({ final: false, accounts })).toEqual([]);
});

function booksOf(accountId: string, wallet: DurableObjectStub<Wallet>): Promise<AccountRows> {
  return runInDurableObject(wallet, (_, { storage: { sql } }) => {
    const rows = <T>(table: string) => sql.exec(`SELECT * FROM ${table}`).toArray() as T[];
    const tables = TABLES.map((table) => [table, rows(table)]);
    const page = rows<SettlementGroupRow>('page');
    const request = [...rows<RequestRow>('request'), ...requestsOfGroups(page)];
    const credit = sql.exec('SELECT * FROM credit').one();
    return { accountId, credit, page, request, ...Object.fromEntries(tables) } as unknown as AccountRows;
  });
}
