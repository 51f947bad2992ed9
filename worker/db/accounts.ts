/** Accounts and the people who belong to them. */
import { and, eq, gt, isNull, lt, notExists, sql } from 'drizzle-orm';
import type { CapPeriod } from '../domain/limits.ts';
import type { NanoUsd } from '../domain/money.ts';
import type { Database } from './client.ts';
import { insertIf } from './insert-if.ts';
import { account, member, person, personCredential } from './schema.ts';

export type AccountRow = typeof account.$inferSelect;

const ACCOUNTS_PER_PAGE = 1_000;

/** The id of the account that the person owns, or null. */
export async function accountOfPerson(db: Database, personId: string): Promise<string | null> {
  const row = await db
    .select({ accountId: member.accountId })
    .from(member)
    .where(and(eq(member.personId, personId), eq(member.role, 'owner')))
    .orderBy(member.accountId)
    .get();
  return row?.accountId ?? null;
}

export async function findAccount(db: Database, id: string): Promise<AccountRow | null> {
  return (await db.select().from(account).where(eq(account.id, id)).get()) ?? null;
}

/**
 * Caps what all keys of the account spend together. Isolates that have the account cached apply it when their copy
 * expires, within seconds.
 */
export async function setAccountCap(
  db: Database,
  cap: { accountId: string; capNanoUsd: NanoUsd | null; capPeriod: CapPeriod },
): Promise<void> {
  const { accountId, ...set } = cap;
  await db.update(account).set(set).where(eq(account.id, accountId));
}

/**
 * Opens an account with its owner, in one batch. An account that exists is left as it is: a founder who was removed from
 * it does not become its owner again.
 */
export async function insertAccount(
  db: Database,
  opening: { accountId: string; ownerId: string; name: string; nowMs: number },
): Promise<void> {
  const { accountId, ownerId, name, nowMs } = opening;
  await db.batch([
    db.insert(account).values({ id: accountId, name, createdAtMs: nowMs }).onConflictDoNothing(),
    insertIf(db, member, { accountId, personId: ownerId, role: 'owner' }, sql`changes() = 1`),
  ]);
}

/** Whether an operator has suspended the account. */
export async function isSuspended(db: Database, accountId: string): Promise<boolean> {
  const row = await db
    .select({ atMs: account.suspendedAtMs })
    .from(account)
    .where(eq(account.id, accountId))
    .get();
  return row !== undefined && row.atMs !== null;
}

/** Whether the person is a member of the account, which is not closed. */
export async function isMemberOfOpen(
  db: Database,
  { accountId, personId }: { accountId: string; personId: string },
): Promise<boolean> {
  const row = await db
    .select({ id: account.id })
    .from(member)
    .innerJoin(account, and(eq(account.id, member.accountId), isNull(account.closedAtMs)))
    .where(and(eq(member.accountId, accountId), eq(member.personId, personId)))
    .get();
  return row !== undefined;
}

/**
 * Removes a person whose sign-up was cut short before the password was stored: they could never sign in, and the
 * e-mail would stay taken. D1 has no transaction that would span better-auth's two inserts.
 * @returns whether there was such a person
 */
export async function removeUnfinishedPerson(
  db: Database,
  which: { email: string; createdBeforeMs: number },
): Promise<boolean> {
  const none = sql`1`;
  const removed = await db
    .delete(person)
    .where(
      and(
        eq(person.email, which.email.toLowerCase()),
        lt(person.createdAt, new Date(which.createdBeforeMs)),
        notExists(db.select({ none }).from(personCredential).where(eq(personCredential.userId, person.id))),
        notExists(db.select({ none }).from(member).where(eq(member.personId, person.id))),
      ),
    )
    .returning({ id: person.id });
  return removed.length > 0;
}

/** A page of account ids in ascending order, starting after `after`. */
export async function listAccountIds(db: Database, after: string): Promise<string[]> {
  const rows = await db
    .select({ id: account.id })
    .from(account)
    .where(gt(account.id, after))
    .orderBy(account.id)
    .limit(ACCOUNTS_PER_PAGE);
  return rows.map(({ id }) => id);
}

export async function personExists(db: Database, email: string): Promise<boolean> {
  const row = await db
    .select({ id: person.id })
    .from(person)
    .where(eq(person.email, email.toLowerCase()))
    .get();
  return row !== undefined;
}
