/** Notices, and an account's choice of when and how it gets them. The delivery log is notice-deliveries.ts. */
import { and, eq, inArray } from 'drizzle-orm';
import { DEFAULT_ALERT_THRESHOLDS } from '../domain/alert-thresholds.ts';
import type { Notification } from '../domain/notice.ts';
import type { MemberRole } from '../domain/team.ts';
import type { Database } from './client.ts';
import { member, notice, noticeSetting, person } from './schema.ts';

/** Adds a notice; an existing one stays as it is. */
export async function insertNotice(db: Database, notification: Notification): Promise<void> {
  const { id, accountId, atMs, notice: facts } = notification;
  await db.insert(notice).values({ id, accountId, atMs, kind: facts.kind, facts }).onConflictDoNothing();
}

export async function findNotice(db: Database, id: string): Promise<Notification | null> {
  const row = await db.select().from(notice).where(eq(notice.id, id)).get();
  return row ? { id: row.id, accountId: row.accountId, atMs: row.atMs, notice: row.facts } : null;
}

export interface NoticeSetting {
  /** null: never. */
  readonly lowBalanceNanoUsd: number | null;
  readonly capPercents: readonly number[];
  readonly byEmail: boolean;
}

/** The account's settings; until it chooses, the defaults that its Wallet uses, and e-mail. */
export async function noticeSettingOf(db: Database, accountId: string): Promise<NoticeSetting> {
  const row = await db.select().from(noticeSetting).where(eq(noticeSetting.accountId, accountId)).get();
  return row ?? { ...DEFAULT_ALERT_THRESHOLDS, byEmail: true };
}

export async function saveNoticeSetting(
  db: Database,
  { accountId, capPercents, ...rest }: NoticeSetting & { accountId: string },
): Promise<void> {
  const set = { ...rest, capPercents: [...capPercents] };
  await db
    .insert(noticeSetting)
    .values({ accountId, ...set })
    .onConflictDoUpdate({ target: noticeSetting.accountId, set });
}

/** Confirmed e-mail addresses of the account's members with one of the roles. */
export async function noticeAddresses(
  db: Database,
  { accountId, roles }: { accountId: string; roles: readonly MemberRole[] },
): Promise<string[]> {
  const rows = await db
    .select({ email: person.email })
    .from(member)
    .innerJoin(person, eq(person.id, member.personId))
    .where(
      and(eq(member.accountId, accountId), inArray(member.role, [...roles]), eq(person.emailVerified, true)),
    )
    .orderBy(person.email);
  return rows.map(({ email }) => email);
}
