/** Accounts as an operator looks for them, and the limits that an operator sets. */
import { and, asc, desc, eq, gte, inArray, isNotNull, isNull, lt, sql } from 'drizzle-orm';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { account, member, person } from './schema.ts';

export interface LimitedAccount {
  readonly id: string;
  readonly name: string;
  /** of its owner; null: nobody owns it */
  readonly email: string | null;
  readonly createdAtMs: number;
  /** an operator stopped it: its keys are refused; null: they are not */
  readonly suspendedAtMs: number | null;
  readonly requestsPerMinute: number;
  readonly tokensPerMinute: number | null;
  readonly concurrency: number;
}

export type AccountLimits = Pick<LimitedAccount, 'requestsPerMinute' | 'tokensPerMinute' | 'concurrency'>;

const COLUMNS = {
  id: account.id,
  name: account.name,
  email: person.email,
  createdAtMs: account.createdAtMs,
  suspendedAtMs: account.suspendedAtMs,
  requestsPerMinute: account.requestsPerMinute,
  tokensPerMinute: account.tokensPerMinute,
  concurrency: account.concurrency,
};

/** Greater than every character that an id or an e-mail has: closes the range of what begins with a text. */
const LAST = '\uffff';

/** Accounts whose id, or whose owner's e-mail, begins with the text. */
export async function findAccounts(db: Database, text: string, limit: number): Promise<LimitedAccount[]> {
  const wanted = text.trim().toLowerCase();
  const owned = and(eq(member.accountId, account.id), eq(member.role, 'owner'));
  const byEmail = db
    .select({ id: member.accountId })
    .from(person)
    .innerJoin(member, and(eq(member.personId, person.id), eq(member.role, 'owner')))
    .where(and(gte(person.email, wanted), lt(person.email, wanted + LAST)))
    .limit(limit);
  const which = wanted.startsWith('acct_')
    ? and(gte(account.id, wanted), lt(account.id, wanted + LAST))
    : inArray(account.id, byEmail);
  return db
    .select(COLUMNS)
    .from(account)
    .leftJoin(member, owned)
    .leftJoin(person, eq(person.id, member.personId))
    .where(which)
    .orderBy(asc(account.id))
    .limit(limit);
}

/** The newest first. */
export function listAccounts(
  db: Database,
  { limit, offset }: { limit: number; offset: number },
): Promise<LimitedAccount[]> {
  // ids begin with their time
  return whole(db).orderBy(desc(account.id)).limit(limit).offset(offset);
}

/** In the order of the ids; those that there are not are left out. */
export async function accountsOf(db: Database, ids: readonly string[]): Promise<LimitedAccount[]> {
  const rows = await whole(db).where(
    sql`${account.id} in (select value from json_each(${JSON.stringify(ids)}))`,
  );
  return rows.toSorted((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));
}

/** With the first of its owners. */
function whole(db: Database) {
  const first = sql`(select min(m.person_id) from member as m where m.account_id = ${account.id} and m.role = 'owner')`;
  return db.select(COLUMNS).from(account).leftJoin(person, eq(person.id, first)).$dynamic();
}

export async function findLimitedAccount(db: Database, accountId: string): Promise<LimitedAccount | null> {
  const [found] = await findAccounts(db, accountId, 1);
  return found?.id === accountId ? found : null;
}

/** Sets the limits that are named; the others stay. @returns false when there is no such account */
export async function setAccountLimits(
  db: Database,
  { accountId, limits, entry }: { accountId: string; limits: Partial<AccountLimits>; entry: AuditEntry },
): Promise<boolean> {
  const [changed] = await db.batch([
    db.update(account).set(limits).where(eq(account.id, accountId)),
    addAuditIfChanged(db, entry),
  ]);
  return changed.meta.changes === 1;
}

/** Stops an account that is not stopped, or lets one go on that is. */
export async function setSuspended(
  db: Database,
  change: { accountId: string; suspendedAtMs: number | null; entry: AuditEntry },
): Promise<void> {
  const { accountId, suspendedAtMs, entry } = change;
  const isOther = suspendedAtMs === null ? isNotNull(account.suspendedAtMs) : isNull(account.suspendedAtMs);
  await db.batch([
    db
      .update(account)
      .set({ suspendedAtMs })
      .where(and(eq(account.id, accountId), isOther)),
    addAuditIfChanged(db, entry),
  ]);
}

/** E-mails of people, by their ids: who did what in a trail. */
export async function emailsOf(db: Database, personIds: readonly string[]): Promise<Map<string, string>> {
  const rows = await db
    .select({ id: person.id, email: person.email })
    .from(person)
    .where(sql`${person.id} in (select value from json_each(${JSON.stringify(personIds)}))`);
  return new Map(rows.map(({ id, email }) => [id, email]));
}
