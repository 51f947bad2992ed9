/** Finds which accounts exist. Callers check this before they address a Wallet, because addressing one creates it. */
import { sql } from 'drizzle-orm';
import type { Database } from './client.ts';
import { account } from './schema.ts';

/** Binds one JSON parameter however many ids there are: D1 allows 100 parameters per statement. */
export async function findExistingAccounts(db: Database, accountIds: readonly string[]): Promise<string[]> {
  const rows = await db
    .select({ id: account.id })
    .from(account)
    .where(sql`${account.id} in (select value from json_each(${JSON.stringify(accountIds)}))`);
  return rows.map((row) => row.id);
}
