/** Which accounts exist: asked before a Wallet is reached for, because reaching for one creates it. */
import { sql } from 'drizzle-orm';
import type { Database } from './client.ts';
import { account } from './schema.ts';

/** One bound parameter however many there are: D1 allows 100 a statement. */
export async function existingAccounts(db: Database, accountIds: readonly string[]): Promise<string[]> {
  const rows = await db
    .select({ id: account.id })
    .from(account)
    .where(sql`${account.id} in (select value from json_each(${JSON.stringify(accountIds)}))`);
  return rows.map((row) => row.id);
}
