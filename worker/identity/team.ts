/** Inviting people into an account, and what they do with the invitation. */
import { database } from '../db/client.ts';
import { acceptInvitation, findOpenInvitation, insertInvitation } from '../db/team.ts';
import { newId } from '../domain/ids.ts';
import type { MemberRole } from '../domain/team.ts';
import { config, type Env } from '../env.ts';
import type { Locale } from '../i18n/locale.ts';
import { sendAccountEmail } from '../notifications/email/send.ts';
import type { Person } from './account.ts';

const INVITATION_DAYS = 7;
const DAY_MS = 86_400_000;

/** @returns false: too many invitations wait */
export async function invite(
  env: Env,
  request: {
    accountId: string;
    accountName: string;
    email: string;
    role: MemberRole;
    by: Person;
    locale: Locale;
    nowMs: number;
  },
): Promise<boolean> {
  const { accountId, accountName, role, by, locale, nowMs } = request;
  const email = request.email.toLowerCase();
  const token = newToken();
  const row = {
    id: newId('inv', nowMs),
    accountId,
    email,
    role,
    tokenHash: await hashOf(token),
    invitedBy: by.id,
    createdAtMs: nowMs,
    expiresAtMs: nowMs + INVITATION_DAYS * DAY_MS,
  };
  const entry = {
    atMs: nowMs,
    actor: by.id,
    action: 'member.invited',
    subject: row.id,
    detail: { email, role },
    accountId,
  };
  if (!(await insertInvitation(database(env), row, entry))) return false;
  const url = `${config(env).publicOrigin}/invitation/${token}`;
  const post = { kind: 'invitation', url, role, accountName, invitedBy: by.email } as const;
  await sendAccountEmail(env, { to: email, locale, post }, nowMs);
  return true;
}

/** null: it was used or revoked, has expired, or never was */
export async function openInvitation(env: Env, token: string, nowMs: number) {
  return findOpenInvitation(database(env), await hashOf(token), nowMs);
}

export type Accepted = 'accepted' | 'over' | 'other_address';

/** Only whoever has the address that it was sent to: a forwarded letter lets nobody else in. */
export async function accept(
  env: Env,
  { token, person, nowMs }: { token: string; person: Person; nowMs: number },
): Promise<{ result: Accepted; accountId: string | null }> {
  const found = await openInvitation(env, token, nowMs);
  if (found === null) return { result: 'over', accountId: null };
  const { invitation: row } = found;
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
  const done = await acceptInvitation(database(env), { row, personId: person.id, nowMs, entry });
  return { result: done ? 'accepted' : 'over', accountId: done ? accountId : null };
}

/** 256 bits of chance, as text for a link. */
function newToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return Buffer.from(bytes).toString('base64url');
}

async function hashOf(token: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token));
  return Buffer.from(digest).toString('base64url');
}
