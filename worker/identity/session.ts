/** Who is asking: signing up, in and out, and the person behind a request's session cookie. */
import { isAPIError } from 'better-auth/api';
import { personExists, removeUnfinishedPerson } from '../db/accounts.ts';
import { database } from '../db/client.ts';
import type { Env } from '../env.ts';
import {
  ATTEMPTS_PER_ADDRESS,
  ATTEMPTS_PER_PERSON,
  attemptFrom,
  SIGN_UPS_PER_ADDRESS,
  throttle,
} from '../lib/throttle.ts';
import type { Person } from './account.ts';
import { auth } from './auth.ts';

export type SessionRefusal =
  | { reason: 'wrong_credentials' }
  | { reason: 'email_taken' }
  | { reason: 'too_many_attempts'; retryAfterMs: number }
  /** the password is right, a code is asked for: `cookies` remember for minutes whose */
  | { reason: 'second_factor'; cookies: readonly string[] }
  | { reason: 'wrong_code' }
  /** the time for a code, or the tries, are over: the password is asked for again */
  | { reason: 'code_over' }
  | { reason: 'link_over' };

/** `cookies`: `Set-Cookie` values that carry the new session. */
export type SessionResult =
  | { ok: true; person: Person; cookies: readonly string[] }
  | { ok: false; refusal: SessionRefusal };

/** A sign-up takes a second; one that is older and has no password was cut short. */
const UNFINISHED_AFTER_MS = 60_000;

/**
 * Makes a person and their first session. A taken e-mail is said plainly: without a mail round-trip any other answer
 * would either lie or leave the newcomer stuck, and the throttle keeps it from serving as a directory.
 */
export async function signUp(
  env: Env,
  request: { name: string; email: string; password: string; headers: Headers; nowMs: number },
): Promise<SessionResult> {
  const { name, email, password, headers, nowMs } = request;
  const retryAfterMs = attemptFrom(headers, 'sign-up', SIGN_UPS_PER_ADDRESS, nowMs);
  if (retryAfterMs > 0) return { ok: false, refusal: { reason: 'too_many_attempts', retryAfterMs } };
  try {
    const { headers: answer, response } = await auth(env).api.signUpEmail({
      body: { name, email, password },
      headers,
      returnHeaders: true,
    });
    return { ok: true, person: toPerson(response.user), cookies: answer.getSetCookie() };
  } catch (error) {
    const isTaken = isAPIError(error) && error.body?.code === 'USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL';
    // of two sign-ups at once (a double click) one loses at the unique e-mail, which better-auth calls a failure
    if (!isTaken && !(await personExists(database(env), email))) throw error;
    const unfinished = { email, createdBeforeMs: nowMs - UNFINISHED_AFTER_MS };
    if (await removeUnfinishedPerson(database(env), unfinished)) return signUp(env, request);
    return { ok: false, refusal: { reason: 'email_taken' } };
  }
}

/** One answer for an unknown e-mail and a wrong password, after the same work (better-auth hashes in both cases). */
export async function signIn(
  env: Env,
  request: { email: string; password: string; headers: Headers; nowMs: number },
): Promise<SessionResult> {
  const { email, password, headers, nowMs } = request;
  const subject = `person ${email.toLowerCase()}`;
  const retryAfterMs = Math.max(
    throttle.attempt(subject, ATTEMPTS_PER_PERSON, nowMs),
    attemptFrom(headers, 'sign-in', ATTEMPTS_PER_ADDRESS, nowMs),
  );
  if (retryAfterMs > 0) return { ok: false, refusal: { reason: 'too_many_attempts', retryAfterMs } };
  try {
    const { headers: answer, response } = await auth(env).api.signInEmail({
      body: { email, password },
      headers,
      returnHeaders: true,
    });
    throttle.forget(subject);
    if ('twoFactorRedirect' in response)
      return { ok: false, refusal: { reason: 'second_factor', cookies: answer.getSetCookie() } };
    return { ok: true, person: toPerson(response.user), cookies: answer.getSetCookie() };
  } catch (error) {
    if (isAPIError(error) && error.statusCode < 500) {
      return { ok: false, refusal: { reason: 'wrong_credentials' } };
    }
    throw error;
  }
}

/** The code of an authenticator app, or one of the codes that were kept for when it is lost. */
export async function signInWithCode(
  env: Env,
  { code, headers, nowMs }: { code: string; headers: Headers; nowMs: number },
): Promise<SessionResult> {
  const retryAfterMs = attemptFrom(headers, 'code', ATTEMPTS_PER_ADDRESS, nowMs);
  if (retryAfterMs > 0) return { ok: false, refusal: { reason: 'too_many_attempts', retryAfterMs } };
  const { api } = auth(env);
  try {
    const call = { body: { code }, headers, returnHeaders: true } as const;
    const { headers: answer, response } = /^\d{6}$/.test(code)
      ? await api.verifyTOTP(call)
      : await api.verifyBackupCode(call);
    return { ok: true, person: toPerson(response.user), cookies: answer.getSetCookie() };
  } catch (error) {
    if (!isAPIError(error) || error.statusCode >= 500) throw error;
    const wrong = error.body?.code === 'INVALID_CODE' || error.body?.code === 'INVALID_BACKUP_CODE';
    return { ok: false, refusal: { reason: wrong ? 'wrong_code' : 'code_over' } };
  }
}

/** By the link of a letter: once, within its minutes. */
export async function signInByLink(
  env: Env,
  { token, headers, nowMs }: { token: string; headers: Headers; nowMs: number },
): Promise<SessionResult> {
  const retryAfterMs = attemptFrom(headers, 'link', ATTEMPTS_PER_ADDRESS, nowMs);
  if (retryAfterMs > 0) return { ok: false, refusal: { reason: 'too_many_attempts', retryAfterMs } };
  try {
    const { headers: answer, response } = await auth(env).api.magicLinkVerify({
      query: { token },
      headers,
      returnHeaders: true,
    });
    return { ok: true, person: toPerson(response.user), cookies: answer.getSetCookie() };
  } catch (error) {
    // better-auth refuses by a redirect, which it throws
    if (isAPIError(error) && error.statusCode < 500) return { ok: false, refusal: { reason: 'link_over' } };
    throw error;
  }
}

/** Ends the session. @returns `Set-Cookie` values that take the cookie away */
export async function signOut(env: Env, headers: Headers): Promise<readonly string[]> {
  const { headers: answer } = await auth(env).api.signOut({ headers, returnHeaders: true });
  return answer.getSetCookie();
}

/** The person whose session cookie the request carries, or null. `cookies` renew the session when it is due. */
export async function personOf(
  env: Env,
  headers: Headers,
): Promise<{ person: Person; sessionId: string; cookies: readonly string[] } | null> {
  const { headers: answer, response } = await auth(env).api.getSession({ headers, returnHeaders: true });
  if (!response) return null;
  return { person: toPerson(response.user), sessionId: response.session.id, cookies: answer.getSetCookie() };
}

function toPerson(user: {
  id: string;
  name: string;
  email: string;
  createdAt: Date;
  emailVerified: boolean;
  role?: string | null;
  twoFactorEnabled?: boolean | null;
}): Person {
  return {
    id: user.id,
    name: user.name,
    email: user.email,
    role: user.role === 'operator' ? 'operator' : 'customer',
    emailVerified: user.emailVerified,
    twoFactor: user.twoFactorEnabled === true,
    createdAtMs: user.createdAt.getTime(),
  };
}
