/** Who belongs to an account, in which role, and who was asked to. */
import { and, asc, count, desc, eq, gt, isNull, ne, sql } from 'drizzle-orm';
import type { MemberRole } from '../domain/team.ts';
import { type AuditEntry, addAudit, addAuditIfChanged } from './audit.ts';
import type { Database } from './client.ts';
import { account, audit, invitation, member, person } from './schema.ts';

export interface Membership {
  readonly accountId: string;
  readonly accountName: string;
  readonly role: MemberRole;
}

/** Accounts that are not closed, the person's own first. */
export function membershipsOf(db: Database, personId: string): Promise<Membership[]> {
  return db
    .select({ accountId: account.id, accountName: account.name, role: member.role })
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

interface Change {
  readonly accountId: string;
  readonly personId: string;
  readonly entry: AuditEntry;
}

/** Holds while the row is another owner's, or there is more than one: decided with the change, not before it. */
const staysOwned = (accountId: string) =>
  sql`(${member.role} <> 'owner' OR (SELECT count(*) FROM member AS m WHERE m.account_id = ${accountId} AND m.role = 'owner') > 1)`;

/** @returns false: no such member, or the last owner */
export async function changeRole(db: Database, change: Change & { role: MemberRole }): Promise<boolean> {
  const { accountId, personId, role, entry } = change;
  const which = and(
    eq(member.accountId, accountId),
    eq(member.personId, personId),
    ne(member.role, role),
    role === 'owner' ? undefined : staysOwned(accountId),
  );
  const [changed] = await db.batch([
    db.update(member).set({ role }).where(which),
    addAuditIfChanged(db, entry),
  ]);
  return changed.meta.changes === 1;
}

/** @returns false: no such member, or the last owner */
export async function removeMember(db: Database, change: Change): Promise<boolean> {
  const { accountId, personId, entry } = change;
  const which = and(eq(member.accountId, accountId), eq(member.personId, personId), staysOwned(accountId));
  const [removed] = await db.batch([db.delete(member).where(which), addAuditIfChanged(db, entry)]);
  return removed.meta.changes === 1;
}

export type InvitationRow = typeof invitation.$inferSelect;
/** The longest list that a team page shows, and the most that wait at once: an inbox is nobody's to fill. */
export const INVITATIONS_OPEN_MAX = 25;

const open = (nowMs: number) =>
  and(isNull(invitation.acceptedAtMs), isNull(invitation.revokedAtMs), gt(invitation.expiresAtMs, nowMs));

export function openInvitations(db: Database, accountId: string, nowMs: number): Promise<InvitationRow[]> {
  return db
    .select()
    .from(invitation)
    .where(and(eq(invitation.accountId, accountId), open(nowMs)))
    .orderBy(desc(invitation.createdAtMs))
    .limit(INVITATIONS_OPEN_MAX);
}

/** One invitation an address: an older one to it ends. @returns false: too many wait */
export async function insertInvitation(
  db: Database,
  row: typeof invitation.$inferInsert,
  entry: AuditEntry,
): Promise<boolean> {
  const { accountId, email, createdAtMs: nowMs } = row;
  const mine = eq(invitation.accountId, accountId);
  const waiting = await db
    .select({ n: count() })
    .from(invitation)
    .where(and(mine, open(nowMs), ne(invitation.email, email)))
    .get();
  if ((waiting?.n ?? 0) >= INVITATIONS_OPEN_MAX) return false;
  await db.batch([
    db
      .update(invitation)
      .set({ revokedAtMs: nowMs })
      .where(and(mine, eq(invitation.email, email), open(nowMs))),
    db.insert(invitation).values(row),
    addAudit(db, entry),
  ]);
  return true;
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
      .where(and(eq(invitation.id, invitationId), eq(invitation.accountId, accountId), open(nowMs))),
    addAuditIfChanged(db, entry),
  ]);
  return revoked.meta.changes === 1;
}

/** With the account's name and who invites; null: there is none that still holds. */
export async function findOpenInvitation(db: Database, tokenHash: string, nowMs: number) {
  const row = await db
    .select({ invitation, accountName: account.name, invitedBy: person.email })
    .from(invitation)
    .innerJoin(account, eq(account.id, invitation.accountId))
    .innerJoin(person, eq(person.id, invitation.invitedBy))
    .where(and(eq(invitation.tokenHash, tokenHash), open(nowMs), isNull(account.closedAtMs)))
    .get();
  return row ?? null;
}

/**
 * The invitation is spent and the person is a member, both or neither. A member already keeps the role they have.
 * The link came by e-mail, so the address is shown to be theirs.
 */
export async function acceptInvitation(
  db: Database,
  accepted: { row: InvitationRow; personId: string; nowMs: number; entry: AuditEntry },
): Promise<boolean> {
  const { row, personId, nowMs, entry } = accepted;
  const [spent] = await db.batch([
    db
      .update(invitation)
      .set({ acceptedAtMs: nowMs })
      .where(and(eq(invitation.id, row.id), open(nowMs))),
    addAuditIfChanged(db, entry),
    db
      .insert(member)
      .select(
        sql`select account_id, ${personId}, role from invitation where id = ${row.id} and accepted_at_ms = ${nowMs}`,
      )
      .onConflictDoNothing(),
    db.update(person).set({ emailVerified: true }).where(eq(person.id, personId)),
  ]);
  return spent.meta.changes === 1;
}

export type TrailRow = typeof audit.$inferSelect;

/** What was done in the account, newest first. */
export function accountTrail(db: Database, accountId: string, limit: number): Promise<TrailRow[]> {
  return db
    .select()
    .from(audit)
    .where(eq(audit.accountId, accountId))
    .orderBy(desc(audit.atMs), desc(audit.id))
    .limit(limit);
}
