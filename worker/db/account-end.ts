/** The end of an account, and everything that it has, for whoever takes it along. */
import { and, asc, eq, gt, isNull, notExists, sql } from 'drizzle-orm';
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import {
  account,
  apiKey,
  audit,
  autoRecharge,
  invitation,
  ledgerEntry,
  member,
  paymentOrder,
  person,
  personCredential,
  personSession,
  personTwoFactor,
  usageEvent,
  usageHour,
  webhookEndpoint,
} from './schema.ts';

/** Both or neither, and once: keys die, nothing is charged any more, nobody is invited. The ledger stays. */
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
 * Whoever belongs to no open account any more is forgotten: what is left of them is a number that invitations and the
 * trail refer to. Who belongs to another stays.
 */
export async function forgetPerson(db: Database, personId: string): Promise<void> {
  const open = db
    .select({ one: sql`1` })
    .from(member)
    .innerJoin(account, eq(account.id, member.accountId))
    .where(and(eq(member.personId, personId), isNull(account.closedAtMs)));
  const [gone] = await db.batch([
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
  if (gone.meta.changes === 0) return;
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

/** Rows read at once: an export is walked, never held whole. */
const ROWS_A_PAGE = 1_000;

/** Everything of the account, table by table, as objects with the table's name. Hashes of keys are no part of it. */
export async function* exported(db: Database, accountId: string): AsyncGenerator<Record<string, unknown>> {
  const of = <T extends { accountId: SQLiteColumn }>(table: T) => eq(table.accountId, accountId);
  for (const row of await db.select().from(account).where(eq(account.id, accountId)))
    yield { table: 'account', ...row };
  const members = db
    .select({ name: person.name, email: person.email, role: member.role })
    .from(member)
    .innerJoin(person, eq(person.id, member.personId))
    .where(of(member));
  for (const row of await members) yield { table: 'member', ...row };
  for (const { hash: _, ...row } of await db.select().from(apiKey).where(of(apiKey)))
    yield { table: 'api_key', ...row };
  for (const row of await db.select().from(paymentOrder).where(of(paymentOrder)))
    yield { table: 'payment', ...row };
  for (const row of await db.select().from(audit).where(of(audit)).orderBy(asc(audit.atMs)))
    yield { table: 'trail', ...row };
  for (const row of await db.select().from(usageHour).where(of(usageHour)).orderBy(asc(usageHour.hourMs)))
    yield { table: 'usage_hour', ...row };
  for (let after = 0; ; ) {
    const rows = await db
      .select()
      .from(ledgerEntry)
      .where(and(of(ledgerEntry), gt(ledgerEntry.seq, after)))
      .orderBy(asc(ledgerEntry.seq))
      .limit(ROWS_A_PAGE);
    for (const row of rows) yield { table: 'ledger_entry', ...row };
    if (rows.length < ROWS_A_PAGE) break;
    after = rows.at(-1)!.seq;
  }
  for (let after = ''; ; ) {
    const rows = await db
      .select()
      .from(usageEvent)
      .where(and(of(usageEvent), gt(usageEvent.requestId, after)))
      .orderBy(asc(usageEvent.requestId))
      .limit(ROWS_A_PAGE);
    for (const row of rows) yield { table: 'request', ...row };
    if (rows.length < ROWS_A_PAGE) break;
    after = rows.at(-1)!.requestId;
  }
}
