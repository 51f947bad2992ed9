/** Renaming and closing an account, and exporting what it has. */
import { and, asc, eq, isNull } from 'drizzle-orm';
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { account, apiKey, audit, autoRecharge, member, paymentOrder, person, usageHour } from './schema.ts';

/**
 * Closes an account once, in one batch with its audit row: keys are revoked and recharge is turned off. What names people
 * and addresses is erased by erase-account.ts. The ledger stays.
 * @returns false when it was closed already
 */
export async function closeAccount(
  db: Database,
  { accountId, nowMs, entry }: { accountId: string; nowMs: number; entry: AuditEntry },
): Promise<boolean> {
  const [closed] = await db.batch([
    db
      .update(account)
      .set({ closedAtMs: nowMs })
      .where(and(eq(account.id, accountId), isNull(account.closedAtMs))),
    addAuditIfChanged(db, entry),
    db
      .update(apiKey)
      .set({ revokedAtMs: nowMs })
      .where(and(eq(apiKey.accountId, accountId), isNull(apiKey.revokedAtMs))),
    db.update(autoRecharge).set({ enabled: false }).where(eq(autoRecharge.accountId, accountId)),
  ]);
  return closed.meta.changes === 1;
}

export async function renameAccount(
  db: Database,
  { accountId, name, entry }: { accountId: string; name: string; entry: AuditEntry },
): Promise<void> {
  await db.batch([
    db.update(account).set({ name }).where(eq(account.id, accountId)),
    addAuditIfChanged(db, entry),
  ]);
}

/**
 * Yields what an account has, table by table, as objects with the table's name, but for requests and ledger entries,
 * which worker/archive/export.ts adds. Hashes of keys are left out.
 */
export async function* exportTables(
  db: Database,
  accountId: string,
): AsyncGenerator<Record<string, unknown>> {
  const ofAccount = <T extends { accountId: SQLiteColumn }>(table: T) => eq(table.accountId, accountId);
  for (const row of await db.select().from(account).where(eq(account.id, accountId)))
    yield { table: 'account', ...row };
  const members = db
    .select({ name: person.name, email: person.email, role: member.role })
    .from(member)
    .innerJoin(person, eq(person.id, member.personId))
    .where(ofAccount(member));
  for (const row of await members) yield { table: 'member', ...row };
  for (const { hash: _, ...row } of await db.select().from(apiKey).where(ofAccount(apiKey)))
    yield { table: 'api_key', ...row };
  for (const row of await db.select().from(paymentOrder).where(ofAccount(paymentOrder)))
    yield { table: 'payment', ...row };
  for (const row of await db.select().from(audit).where(ofAccount(audit)).orderBy(asc(audit.atMs)))
    yield { table: 'trail', ...row };
  for (const row of await db
    .select()
    .from(usageHour)
    .where(ofAccount(usageHour))
    .orderBy(asc(usageHour.hourMs)))
    yield { table: 'usage_hour', ...row };
}
