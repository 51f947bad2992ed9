/** Trial credit that inboxes were given, by hash of the inbox, and the accounts for which it has been decided. */
import { and, eq, isNull, lt, sql } from 'drizzle-orm';
import type { NanoUsd } from '../domain/money.ts';
import { retentionMs } from '../domain/retention.ts';
import type { Database } from './client.ts';
import { account, member, person, trialGrant } from './schema.ts';

const DAY_MS = 86_400_000;

export interface TrialClaim {
  readonly emailHash: string;
  readonly accountId: string;
  readonly amountNanoUsd: NanoUsd;
  /** UTC days since 1970 */
  readonly day: number;
}

/**
 * Claims trial credit for an inbox, in one statement, so that of concurrent claims one counts and the day's total
 * holds. Rows at the end of their life are removed on the way.
 * @returns the inbox's row, which may be an earlier one of another account; null: the day's total is used up
 */
export async function claimTrialGrant(
  db: Database,
  { emailHash, accountId, amountNanoUsd, day }: TrialClaim,
  dailyTotalNanoUsd: NanoUsd,
): Promise<typeof trialGrant.$inferSelect | null> {
  const oldestDay = day - retentionMs('trial_grant') / DAY_MS;
  const [, , rows] = await db.batch([
    db.delete(trialGrant).where(lt(trialGrant.day, oldestDay)),
    db
      .insert(trialGrant)
      .select(
        sql`select ${emailHash}, ${accountId}, ${amountNanoUsd}, ${day}
          where (select coalesce(sum(amount_nano_usd), 0) from trial_grant where day = ${day}) + ${amountNanoUsd} <= ${dailyTotalNanoUsd}`,
      )
      .onConflictDoNothing(),
    db.select().from(trialGrant).where(eq(trialGrant.emailHash, emailHash)),
  ]);
  return rows[0] ?? null;
}

/** Notes that an inbox has had its trial credit, if that is not noted already. It counts against no day's total. */
export async function noteTrialGrant(db: Database, claim: Omit<TrialClaim, 'amountNanoUsd'>): Promise<void> {
  await db
    .insert(trialGrant)
    .values({ ...claim, amountNanoUsd: 0 })
    .onConflictDoNothing();
}

export interface UnnotedTrial {
  readonly accountId: string;
  readonly decidedAtMs: number;
  readonly owners: readonly { readonly id: string; readonly email: string; readonly createdAtMs: number }[];
}

/** Open accounts that had their trial credit before inboxes were noted, the earliest first, with their owners. */
export async function listUnnotedTrials(db: Database, limit: number): Promise<UnnotedTrial[]> {
  const accounts = await db
    .select({ accountId: account.id, decidedAtMs: account.trialDecidedAtMs })
    .from(account)
    // In these words the partial index says which accounts it has.
    .where(sql`trial_decided_at_ms IS NOT NULL AND trial_noted_at_ms IS NULL AND closed_at_ms IS NULL`)
    .orderBy(account.trialDecidedAtMs)
    .limit(limit);
  if (accounts.length === 0) return [];
  const ids = JSON.stringify(accounts.map(({ accountId }) => accountId));
  const owners = await db
    .select({ accountId: member.accountId, id: person.id, email: person.email, createdAt: person.createdAt })
    .from(member)
    .innerJoin(person, eq(person.id, member.personId))
    .where(and(sql`${member.accountId} in (select value from json_each(${ids}))`, eq(member.role, 'owner')));
  return accounts.map(({ accountId, decidedAtMs }) => ({
    accountId,
    decidedAtMs: decidedAtMs!,
    owners: owners
      .filter((owner) => owner.accountId === accountId)
      .map(({ id, email, createdAt }) => ({ id, email, createdAtMs: createdAt.getTime() })),
  }));
}

export async function setTrialNoted(db: Database, accountId: string, nowMs: number): Promise<void> {
  await db.update(account).set({ trialNotedAtMs: nowMs }).where(eq(account.id, accountId));
}

/** Trial credit that was given on a day, and to how many accounts. */
export async function trialGrantsOn(
  db: Database,
  day: number,
): Promise<{ accounts: number; totalNanoUsd: number }> {
  const row = await db
    .select({
      accounts: sql<number>`count(*)`,
      totalNanoUsd: sql<number>`coalesce(sum(${trialGrant.amountNanoUsd}), 0)`,
    })
    .from(trialGrant)
    .where(and(eq(trialGrant.day, day), sql`${trialGrant.amountNanoUsd} > 0`))
    .get();
  return row ?? { accounts: 0, totalNanoUsd: 0 };
}

export async function setTrialDecided(
  db: Database,
  { accountId, nowMs }: { accountId: string; nowMs: number },
): Promise<void> {
  await db
    .update(account)
    .set({ trialDecidedAtMs: nowMs, trialNotedAtMs: nowMs })
    .where(and(eq(account.id, accountId), isNull(account.trialDecidedAtMs)));
}
