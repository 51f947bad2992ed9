/** The list of a person's sessions, and how they are ended. */
import { and, desc, eq, gt, ne } from 'drizzle-orm';
import { addAudit } from '../db/audit.ts';
import { database } from '../db/client.ts';
import { personSession } from '../db/schema.ts';
import { isSessionOver } from '../domain/session-end.ts';
import type { Env } from '../env.ts';
import type { Person } from './account.ts';

export interface SessionRow {
  readonly id: string;
  readonly userAgent: string | null;
  readonly ipAddress: string | null;
  readonly updatedAt: Date;
}

/** Sessions that are not over, the most recently used first. */
export async function listSessions(env: Env, person: Person, nowMs: number): Promise<SessionRow[]> {
  const { id, userAgent, ipAddress, createdAt, updatedAt } = personSession;
  const rows = await database(env)
    .select({ id, userAgent, ipAddress, createdAt, updatedAt })
    .from(personSession)
    .where(and(eq(personSession.userId, person.id), gt(personSession.expiresAt, new Date(nowMs))))
    .orderBy(desc(updatedAt));
  return rows.filter((row) => {
    const times = { createdAtMs: row.createdAt.getTime(), seenAtMs: row.updatedAt.getTime() };
    return !isSessionOver(person.role, times, nowMs);
  });
}

/** Writes down that the session is in use. */
export async function markSeen(env: Env, sessionId: string, nowMs: number): Promise<void> {
  const { id } = personSession;
  await database(env)
    .update(personSession)
    .set({ updatedAt: new Date(nowMs) })
    .where(eq(id, sessionId));
}

/** @returns false: the person has no such session */
export async function endSession(env: Env, which: { personId: string; sessionId: string }): Promise<boolean> {
  const ended = await database(env)
    .delete(personSession)
    .where(and(eq(personSession.userId, which.personId), eq(personSession.id, which.sessionId)))
    .returning({ id: personSession.id });
  return ended.length > 0;
}

/**
 * Ends every session of a person, as an operator orders it: whoever has a stolen cookie or an open page is signed out, and
 * tokens that those sessions made for the playground end with them.
 * @param order.accountId the account whose audit trail shows it; absent: only the operators' does
 * @returns how many sessions there were
 */
export async function endAllSessions(
  env: Env,
  order: { personId: string; actor: string; accountId?: string; nowMs: number },
): Promise<number> {
  const { personId, actor, accountId, nowMs: atMs } = order;
  const db = database(env);
  const entry = { atMs, actor, action: 'person.sessions_ended', subject: personId, detail: {}, accountId };
  const [ended] = await db.batch([
    db.delete(personSession).where(eq(personSession.userId, personId)).returning({ id: personSession.id }),
    addAudit(db, entry),
  ]);
  return ended.length;
}

export async function endOtherSessions(
  env: Env,
  which: { personId: string; sessionId: string },
): Promise<void> {
  const { personId, sessionId } = which;
  await database(env)
    .delete(personSession)
    .where(and(eq(personSession.userId, personId), ne(personSession.id, sessionId)));
}
