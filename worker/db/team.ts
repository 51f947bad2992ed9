/** Members of an account with their roles, and invitations to it. */
import { and, asc, desc, eq, gt, isNull, ne, or, type SQL, sql } from 'drizzle-orm';
import { MAXIMA } from '../domain/maxima.ts';
import type { MemberRole } from '../domain/team.ts';
import { type AuditEntry, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { insertIf } from './insert-if.ts';
import type { Fate } from './keys.ts';
import { endLostStanding, nothingMade } from './made-things.ts';
import { account, audit, invitation, member, person } from './schema.ts';
import { accountIsActive, memberMay } from './standing.ts';

export interface Membership {
  readonly accountId: string;
  readonly accountName: string;
  readonly role: MemberRole;
  /** Whether an operator has suspended the account. */
  readonly suspended: boolean;
  /** Whether it has been decided if the account gets trial credit (identity/trial.ts). */
  readonly trialDecided: boolean;
}

/** Accounts of the person that are not closed, their own first. */
export function membershipsOf(db: Database, personId: string): Promise<Membership[]> {
  return db
    .select({
      accountId: account.id,
      accountName: account.name,
      role: member.role,
      suspended: sql`${account.suspendedAtMs} is not null`.mapWith(Boolean),
      trialDecided: sql`${account.trialDecidedAtMs} is not null`.mapWith(Boolean),
    })
    .from(member)
    .innerJoin(account, eq(account.id, member.accountId))
    .where(and(eq(member.personId, personId), isNull(account.closedAtMs)))
    .orderBy(desc(eq(member.role, 'owner')), asc(account.createdAtMs), asc(account.id));
}

export interface MemberRow {
  readonly personId: string;
  readonly name: string;
  readonly email: string;
  readonly twoFactor: boolean;
  readonly role: MemberRole;
}

export function listMembers(db: Database, accountId: string): Promise<MemberRow[]> {
  return db
    .select({
      personId: person.id,
      name: person.name,
      email: person.email,
      twoFactor: person.twoFactorEnabled,
      role: member.role,
    })
    .from(member)
    .innerJoin(person, eq(person.id, member.personId))
    .where(eq(member.accountId, accountId))
    .orderBy(asc(person.createdAt), asc(person.id));
}

/** True while the account may have another member: part of the adding statement, so that two at once cannot both pass. */
function hasRoomForMember(accountId: string): SQL {
  return sql`(select count(*) from ${member} as m where m.account_id = ${accountId}) < ${MAXIMA.members.count}`;
}

/** Whether the account has as many members as it can have. */
export async function isTeamFull(db: Database, accountId: string): Promise<boolean> {
  return (await db.get<{ room: number }>(sql`select ${hasRoomForMember(accountId)} as room`)).room === 0;
}

interface MemberChange {
  readonly accountId: string;
  readonly personId: string;
  readonly entry: AuditEntry;
  /** The fate of the keys and endpoints that the member made; null: it is not decided. */
  readonly fate: Fate | null;
  /** The person in whose name they are kept. */
  readonly keeper: string;
}

/**
 * True unless the row is the account's last owner. It is part of the changing statement, so two changes at once
 * cannot both pass.
 */
const staysOwned = (accountId: string) =>
  sql`(${member.role} <> 'owner' OR (SELECT count(*) FROM member AS m WHERE m.account_id = ${accountId} AND m.role = 'owner') > 1)`;

/**
 * Changes a member's role. What the new role gives no right to ends in the same batch: invitations, keys, endpoints.
 * @returns false: no such member, the last owner, or the fate of what they made is not decided
 */
export async function changeRole(
  db: Database,
  change: MemberChange & { role: MemberRole },
): Promise<boolean> {
  const { role, entry, ...lost } = change;
  const { accountId, personId, fate } = change;
  const nowMs = entry.atMs;
  const which = and(
    eq(member.accountId, accountId),
    eq(member.personId, personId),
    ne(member.role, role),
    role === 'owner' ? undefined : staysOwned(accountId),
    fate === null ? nothingMade(db, change, role, nowMs) : undefined,
  );
  const [changed] = await db.batch([
    db.update(member).set({ role }).where(which),
    addAuditIfChanged(db, entry),
    ...endLostStanding(db, { ...lost, nowMs }),
  ]);
  return changed.meta.changes === 1;
}

/**
 * Removes a member, and ends in the same batch what their membership let them do: invitations, keys, endpoints.
 * @returns false: no such member, the last owner, or the fate of what they made is not decided
 */
export async function removeMember(db: Database, change: MemberChange): Promise<boolean> {
  const { entry, ...lost } = change;
  const { accountId, personId, fate } = change;
  const nowMs = entry.atMs;
  const which = and(
    eq(member.accountId, accountId),
    eq(member.personId, personId),
    staysOwned(accountId),
    fate === null ? nothingMade(db, change, null, nowMs) : undefined,
  );
  const [removed] = await db.batch([
    db.delete(member).where(which),
    addAuditIfChanged(db, entry),
    ...endLostStanding(db, { ...lost, nowMs }),
  ]);
  return removed.meta.changes === 1;
}

export type InvitationRow = typeof invitation.$inferSelect;
const INVITATIONS_OPEN_MAX = MAXIMA.open_invitations.count;

const isOpen = (nowMs: number) =>
  and(isNull(invitation.acceptedAtMs), isNull(invitation.revokedAtMs), gt(invitation.expiresAtMs, nowMs));

export function openInvitations(db: Database, accountId: string, nowMs: number): Promise<InvitationRow[]> {
  return db
    .select()
    .from(invitation)
    .where(and(eq(invitation.accountId, accountId), isOpen(nowMs)))
    .orderBy(desc(invitation.createdAtMs))
    .limit(INVITATIONS_OPEN_MAX);
}

/** Adds an invitation; an older open one to the same address ends. @returns false: too many are open */
export async function insertInvitation(
  db: Database,
  row: typeof invitation.$inferInsert,
  entry: AuditEntry,
): Promise<boolean> {
  const { accountId, email, createdAtMs: nowMs } = row;
  const ofAccount = eq(invitation.accountId, accountId);
  const others = and(ofAccount, isOpen(nowMs), ne(invitation.email, email));
  const mayInvite = and(
    accountIsActive(accountId),
    memberMay({ accountId, personId: row.invitedBy }, 'write', 'team'),
    // counted where it is added: of invitations at once, none goes beyond the maximum
    sql`(select count(*) from ${invitation} where ${others}) < ${INVITATIONS_OPEN_MAX}`,
  )!;
  const [, , added] = await db.batch([
    db
      .update(invitation)
      .set({ revokedAtMs: nowMs })
      .where(and(ofAccount, eq(invitation.email, email), isOpen(nowMs), mayInvite)),
    insertIf(db, invitation, row, mayInvite),
    addAuditIfChanged(db, entry),
  ]);
  return added.meta.changes === 1;
}

export async function revokeInvitation(
  db: Database,
  which: { accountId: string; invitationId: string; nowMs: number; entry: AuditEntry },
): Promise<boolean> {
  const { accountId, invitationId, nowMs, entry } = which;
  const [revoked] = await db.batch([
    db
      .update(invitation)
      .set({ revokedAtMs: nowMs })
      .where(and(eq(invitation.id, invitationId), eq(invitation.accountId, accountId), isOpen(nowMs))),
    addAuditIfChanged(db, entry),
  ]);
  return revoked.meta.changes === 1;
}

/**
 * An open invitation of an account that is neither closed nor suspended, by a person who may still invite: what an
 * invitation gives, its sender must have when it is accepted.
 */
const isValid = (nowMs: number) =>
  and(
    isOpen(nowMs),
    accountIsActive(sql`invitation.account_id`),
    memberMay(
      { accountId: sql`invitation.account_id`, personId: sql`invitation.invited_by` },
      'write',
      'team',
    ),
  );

/** Finds a valid invitation with the account's name and the inviter's e-mail; null: there is none. */
export async function findOpenInvitation(db: Database, tokenHash: string, nowMs: number) {
  const row = await db
    .select({ invitation, accountName: account.name, invitedBy: person.email })
    .from(invitation)
    .innerJoin(account, eq(account.id, invitation.accountId))
    .innerJoin(person, eq(person.id, invitation.invitedBy))
    .where(and(eq(invitation.tokenHash, tokenHash), isValid(nowMs)))
    .get();
  return row ?? null;
}

/**
 * Accepts an invitation and adds the member, in one batch. An existing member keeps their role. The link came by
 * e-mail, so the address counts as verified.
 * @returns false: it is not valid any more, or the account has as many members as it can have
 */
export async function acceptInvitation(
  db: Database,
  acceptance: { row: InvitationRow; personId: string; nowMs: number; entry: AuditEntry },
): Promise<boolean> {
  const { row, personId, nowMs, entry } = acceptance;
  const { accountId } = row;
  const isMember = sql`exists (select 1 from ${member} as m where m.account_id = ${accountId} and m.person_id = ${personId})`;
  const joins = or(isMember, hasRoomForMember(accountId));
  const [accepted] = await db.batch([
    db
      .update(invitation)
      .set({ acceptedAtMs: nowMs })
      .where(and(eq(invitation.id, row.id), isValid(nowMs), joins)),
    addAuditIfChanged(db, entry),
    db
      .insert(member)
      .select(
        sql`select account_id, ${personId}, role from invitation where id = ${row.id} and accepted_at_ms = ${nowMs}`,
      )
      .onConflictDoNothing(),
    db
      .update(person)
      .set({ emailVerified: true })
      .where(
        and(
          eq(person.id, personId),
          sql`exists (select 1 from invitation where id = ${row.id} and accepted_at_ms = ${nowMs})`,
        ),
      ),
  ]);
  return accepted.meta.changes === 1;
}

export type TrailRow = typeof audit.$inferSelect;

/** Lists the account's audit rows, newest first. */
export function accountTrail(db: Database, accountId: string, limit: number): Promise<TrailRow[]> {
  return db
    .select()
    .from(audit)
    .where(eq(audit.accountId, accountId))
    .orderBy(desc(audit.atMs), desc(audit.id))
    .limit(limit);
}
