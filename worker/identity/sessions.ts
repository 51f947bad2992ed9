/** The list of a person's sessions, and how they are ended. */
import { and, desc, eq, gt, ne } from 'drizzle-orm';
import { database } from '../db/client.ts';
import { personSession } from '../db/schema.ts';
import type { Env } from '../env.ts';

export interface SessionRow {
  readonly id: string;
  readonly userAgent: string | null;
  readonly ipAddress: string | null;
  readonly updatedAt: Date;
}

/** Sessions that have not expired, the most recently renewed first. */
export function listSessions(env: Env, personId: string, nowMs: number): Promise<SessionRow[]> {
  const { id, userAgent, ipAddress, updatedAt } = personSession;
  return database(env)
    .select({ id, userAgent, ipAddress, updatedAt })
    .from(personSession)
    .where(and(eq(personSession.userId, personId), gt(personSession.expiresAt, new Date(nowMs))))
    .orderBy(desc(updatedAt));
}

/** @returns false: the person has no such session */
export async function endSession(env: Env, which: { personId: string; sessionId: string }): Promise<boolean> {
  const ended = await database(env)
    .delete(personSession)
    .where(and(eq(personSession.userId, which.personId), eq(personSession.id, which.sessionId)))
    .returning({ id: personSession.id });
  return ended.length > 0;
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
