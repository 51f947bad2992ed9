/** Closing an account, erasing people who belong to none, and exporting what an account has. */
import { and, asc, eq, isNull, notExists, sql } from 'drizzle-orm';
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import {
  account,
  apiKey,
  audit,
  autoRecharge,
  invitation,
  member,
  paymentOrder,
  person,
  personCredential,
  personSession,
  personTwoFactor,
  usageHour,
  webhookEndpoint,
} from './schema.ts';

/**
 * Closes an account once, in one batch with its audit row: keys are revoked, recharge is turned off, webhook
 * endpoints are removed and open invitations end. The ledger stays.
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
    db
      .update(webhookEndpoint)
      .set({ removedAtMs: nowMs })
      .where(and(eq(webhookEndpoint.accountId, accountId), isNull(webhookEndpoint.removedAtMs))),
    db
      .update(invitation)
      .set({ revokedAtMs: nowMs })
      .where(and(eq(invitation.accountId, accountId), isNull(invitation.acceptedAtMs))),
  ]);
  return closed.meta.changes === 1;
}

/**
 * Erases a person who belongs to no open account. What is left is an id that invitations and the audit trail refer
 * to. A person who still belongs to an open account stays as they are.
 */
export async function forgetPerson(db: Database, personId: string): Promise<void> {
  const open = db
    .select({ one: sql`1` })
    .from(member)
    .innerJoin(account, eq(account.id, member.accountId))
    .where(and(eq(member.personId, personId), isNull(account.closedAtMs)));
  const [erased] = await db.batch([
    db
      .update(person)
      .set({
        name: '',
        email: `${personId}@removed.invalid`,
        emailVerified: false,
        image: null,
        role: 'customer',
      })
      .where(and(eq(person.id, personId), notExists(open))),
  ]);
  if (erased.meta.changes === 0) return;
  await db.batch([
    db.delete(personSession).where(eq(personSession.userId, personId)),
    db.delete(personCredential).where(eq(personCredential.userId, personId)),
    db.delete(personTwoFactor).where(eq(personTwoFactor.userId, personId)),
    db.delete(member).where(eq(member.personId, personId)),
  ]);
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
