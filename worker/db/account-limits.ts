/** Accounts as an operator finds them, and the limits and suspensions that an operator sets. */
import { and, asc, desc, eq, gte, inArray, isNotNull, isNull, lt, not, sql } from 'drizzle-orm';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { account, invitation, member, person } from './schema.ts';
import { accountIsActive } from './standing.ts';

export interface LimitedAccount {
  readonly id: string;
  readonly name: string;
  /** E-mail of the account's owner; null: it has no owner. */
  readonly email: string | null;
  readonly createdAtMs: number;
  /** When an operator suspended the account, so that its keys are refused; null: it is not suspended. */
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

/** Sorts after every character of an id or e-mail, so it closes the range of texts with a common beginning. */
const LAST = '\uffff';

/** Finds accounts whose id, or whose owner's e-mail, begins with `text`. */
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

/** Lists accounts, newest first. */
export function listAccounts(
  db: Database,
  { limit, offset }: { limit: number; offset: number },
): Promise<LimitedAccount[]> {
  // Ids begin with their creation time, so they sort by age.
  return withOwner(db).orderBy(desc(account.id)).limit(limit).offset(offset);
}

/** Finds accounts by id, in the order of the ids; unknown ids are left out. */
export async function findAccountsByIds(db: Database, ids: readonly string[]): Promise<LimitedAccount[]> {
  const rows = await withOwner(db).where(
    sql`${account.id} in (select value from json_each(${JSON.stringify(ids)}))`,
  );
  return rows.toSorted((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));
}

/** Accounts joined with their first owner, so that several owners do not make several rows. */
function withOwner(db: Database) {
  const first = sql`(select min(m.person_id) from member as m where m.account_id = ${account.id} and m.role = 'owner')`;
  return db.select(COLUMNS).from(account).leftJoin(person, eq(person.id, first)).$dynamic();
}

export async function findLimitedAccount(db: Database, accountId: string): Promise<LimitedAccount | null> {
  const [found] = await findAccounts(db, accountId, 1);
  return found?.id === accountId ? found : null;
}

/** Sets the limits that are given; the others stay. @returns false when there is no such account */
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

/**
 * Suspends an account (`suspendedAtMs` set), which ends its open invitations, or resumes it (null); an account that is
 * already in that state stays as it is.
 */
export async function setSuspended(
  db: Database,
  change: { accountId: string; suspendedAtMs: number | null; entry: AuditEntry },
): Promise<void> {
  const { accountId, suspendedAtMs, entry } = change;
  const isInOtherState =
    suspendedAtMs === null ? isNotNull(account.suspendedAtMs) : isNull(account.suspendedAtMs);
  await db.batch([
    db
      .update(account)
      .set({ suspendedAtMs })
      .where(and(eq(account.id, accountId), isInOtherState)),
    addAuditIfChanged(db, entry),
    db
      .update(invitation)
      .set({ revokedAtMs: suspendedAtMs })
      .where(
        and(
          eq(invitation.accountId, accountId),
          isNull(invitation.acceptedAtMs),
          isNull(invitation.revokedAtMs),
          not(accountIsActive(accountId)),
        ),
      ),
  ]);
}

/** E-mails of people by person id, to show who did what in an audit trail. */
export async function emailsOf(db: Database, personIds: readonly string[]): Promise<Map<string, string>> {
  const rows = await db
    .select({ id: person.id, email: person.email })
    .from(person)
    .where(sql`${person.id} in (select value from json_each(${JSON.stringify(personIds)}))`);
  return new Map(rows.map(({ id, email }) => [id, email]));
}
