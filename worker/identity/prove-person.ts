/**
 * Proof that the person at the browser is the one who signed in, before something that cannot be undone: a stolen session
 * must not be enough.
 */
import { and, eq } from 'drizzle-orm';
import { database } from '../db/client.ts';
import { hasPassword } from '../db/people.ts';
import { personSession } from '../db/schema.ts';
import type { Env } from '../env.ts';
import { logSecurity } from '../lib/security-log.ts';
import type { Person } from './account.ts';
import { auth } from './auth.ts';
import { hashBackupCode } from './backup-codes.ts';
import { takeCode } from './code-once.ts';
import { unlessRefused } from './credentials.ts';
import { guessInSession } from './guesses.ts';

/** A person without a password proves themselves by a sign-in this young: by GitHub, or by a link in an e-mail. */
const FRESH_SIGN_IN_MS = 10 * 60_000;

/** The proofs that a person has to give. */
export interface ProofNeeded {
  /** `sign_in`: the person has no password, and signed in too long ago. */
  readonly by: 'password' | 'sign_in' | 'nothing';
  readonly code: boolean;
}

export type Proof =
  | { ok: true }
  | { ok: false; fault: 'password_wrong' | 'code_wrong' | 'sign_in_needed' }
  | { ok: false; fault: 'too_many_attempts'; retryAfterMs: number };

interface AtBrowser {
  readonly person: Person;
  readonly sessionId: string;
  readonly nowMs: number;
}

export async function proofNeeded(env: Env, { person, sessionId, nowMs }: AtBrowser): Promise<ProofNeeded> {
  const code = person.twoFactor;
  if (await hasPassword(database(env), person.id)) return { by: 'password', code };
  const session = await database(env)
    .select({ createdAt: personSession.createdAt })
    .from(personSession)
    .where(and(eq(personSession.id, sessionId), eq(personSession.userId, person.id)))
    .get();
  const isFresh = session !== undefined && nowMs - session.createdAt.getTime() < FRESH_SIGN_IN_MS;
  return { by: isFresh ? 'nothing' : 'sign_in', code };
}

/** Checks the password or the age of the sign-in, and the second factor's code where it is on. Guesses are counted. */
export async function provePerson(env: Env, at: Proving): Promise<Proof> {
  const proof = await check(env, at);
  if (!proof.ok) logSecurity('proof_refused', { person: at.person.id, asked: proof.fault });
  return proof;
}

type Proving = AtBrowser & { password: string; code: string; headers: Headers };

async function check(env: Env, at: Proving): Promise<Proof> {
  const { person, password, code, headers, nowMs } = at;
  const needed = await proofNeeded(env, at);
  if (needed.by === 'sign_in') return { ok: false, fault: 'sign_in_needed' };
  const guess = await guessInSession(env, at.sessionId, nowMs);
  const { retryAfterMs } = guess;
  if (retryAfterMs > 0) return { ok: false, fault: 'too_many_attempts', retryAfterMs };
  const { api } = auth(env);
  if (needed.by === 'password') {
    const isRight = await unlessRefused(() => api.verifyPassword({ body: { password }, headers }));
    if (!isRight) return { ok: false, fault: 'password_wrong' };
  }
  if (needed.code && !(await isCodeRight(env, { personId: person.id, code, headers, nowMs })))
    return { ok: false, fault: 'code_wrong' };
  await guess.forgive();
  return { ok: true };
}

/** The code is used up by this: neither another proof nor a sign-in accepts it again. */
function isCodeRight(
  env: Env,
  { personId, headers, nowMs, ...typed }: { personId: string; code: string; headers: Headers; nowMs: number },
): Promise<boolean> {
  const { api } = auth(env);
  const code = typed.code.replaceAll(' ', '');
  return unlessRefused(async () =>
    /^\d{6}$/.test(code)
      ? api.verifyTOTP({ body: { code: await takeCode(env, { personId, code, nowMs }) }, headers })
      : api.verifyBackupCode({ body: { code: await hashBackupCode(code) }, headers }),
  );
}
