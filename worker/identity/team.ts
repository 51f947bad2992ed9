/** Invitations into an account: making, opening and accepting them. */
import { database } from '../db/client.ts';
import { acceptInvitation, findOpenInvitation, insertInvitation, isTeamFull } from '../db/team.ts';
import { newId } from '../domain/ids.ts';
import type { MemberRole } from '../domain/team.ts';
import { config, type Env } from '../env.ts';
import type { Locale } from '../i18n/locale.ts';
import { sendAccountEmail } from '../notifications/email/send.ts';
import { clientAddress, takeAttempt } from '../rate-limits/attempts.ts';
import type { Person } from './account.ts';

const INVITATION_DAYS = 7;
const DAY_MS = 86_400_000;

export type InvitationRefusal =
  /** the sender has not confirmed their own address */
  | { reason: 'unconfirmed' }
  /** the account has too many open invitations */
  | { reason: 'too_many_invitations' }
  | { reason: 'too_many_members' }
  /** too many invitations from here, from the sender, or to this inbox */
  | { reason: 'too_many_attempts'; retryAfterMs: number };

/** Sends an invitation by e-mail. @returns null: it is sent */
export async function invite(
  env: Env,
  request: {
    accountId: string;
    accountName: string;
    email: string;
    role: MemberRole;
    invitedBy: Person;
    locale: Locale;
    headers: Headers;
    nowMs: number;
  },
): Promise<InvitationRefusal | null> {
  const { accountId, accountName, role, invitedBy, locale, headers, nowMs } = request;
  if (!invitedBy.emailVerified) return { reason: 'unconfirmed' };
  if (await isTeamFull(database(env), accountId)) return { reason: 'too_many_members' };
  const email = request.email.toLowerCase();
  const attempts = [
    { rule: 'invitation_network', subject: clientAddress(headers) },
    { rule: 'invitation_account', subject: accountId },
    { rule: 'invitation_person', subject: invitedBy.id },
    { rule: 'invitation_email', subject: email },
  ] as const;
  const { allowed, retryAfterMs } = await takeAttempt(env, attempts, nowMs);
  if (!allowed) return { reason: 'too_many_attempts', retryAfterMs };
  const token = newToken();
  const row = {
    id: newId('inv', nowMs),
    accountId,
    email,
    role,
    tokenHash: await hashOf(token),
    invitedBy: invitedBy.id,
    createdAtMs: nowMs,
    expiresAtMs: nowMs + INVITATION_DAYS * DAY_MS,
  };
  const entry = {
    atMs: nowMs,
    actor: invitedBy.id,
    action: 'member.invited',
    subject: row.id,
    detail: { email, role },
    accountId,
  };
  if (!(await insertInvitation(database(env), row, entry))) return { reason: 'too_many_invitations' };
  const url = `${config(env).publicOrigin}/invitation/${token}`;
  const invitation = { kind: 'invitation', url, role, accountName } as const;
  await sendAccountEmail(env, { to: email, locale, post: invitation }, nowMs);
  return null;
}

/** The open invitation of a link's token. @returns null: it was used or revoked, has expired, or never existed */
export async function openInvitation(env: Env, token: string, nowMs: number) {
  return findOpenInvitation(database(env), await hashOf(token), nowMs);
}

/** `team_full`: the account has as many members as it can have; the invitation stays open. */
export type Accepted = 'accepted' | 'over' | 'other_address' | 'team_full';

/** Makes the person a member. Only the person with the invited address can accept: a forwarded e-mail lets nobody in. */
export async function accept(
  env: Env,
  { token, person, nowMs }: { token: string; person: Person; nowMs: number },
): Promise<{ result: Accepted; accountId: string | null }> {
  const open = await openInvitation(env, token, nowMs);
  if (open === null) return { result: 'over', accountId: null };
  const { invitation: row } = open;
  if (row.email !== person.email.toLowerCase()) return { result: 'other_address', accountId: null };
  const { accountId, role } = row;
  const entry = {
    atMs: nowMs,
    actor: person.id,
    action: 'member.joined',
    subject: person.id,
    detail: { email: row.email, role },
    accountId,
  };
  if (await acceptInvitation(database(env), { row, personId: person.id, nowMs, entry }))
    return { result: 'accepted', accountId };
  const isOpen = (await openInvitation(env, token, nowMs)) !== null;
  return { result: isOpen ? 'team_full' : 'over', accountId: null };
}

/** 256 random bits as base64url, to stand in a link. */
function newToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return Buffer.from(bytes).toString('base64url');
}

async function hashOf(token: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token));
  return Buffer.from(digest).toString('base64url');
}
