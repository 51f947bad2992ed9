/** Accounts as an operator looks for them, and the limits that an operator sets. */
import { and, asc, eq, gte, inArray, lt, sql } from 'drizzle-orm';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { account, member, person } from './schema.ts';

export interface LimitedAccount {
  readonly id: string;
  readonly name: string;
  /** of its owner; null: nobody owns it */
  readonly email: string | null;
  readonly createdAtMs: number;
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

/** E-mails of people, by their ids: who did what in a trail. */
export async function emailsOf(db: Database, personIds: readonly string[]): Promise<Map<string, string>> {
  const rows = await db
    .select({ id: person.id, email: person.email })
    .from(person)
    .where(sql`${person.id} in (select value from json_each(${JSON.stringify(personIds)}))`);
  return new Map(rows.map(({ id, email }) => [id, email]));
}
