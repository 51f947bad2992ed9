/** Sessions: sign-up, sign-in, sign-out, and the person behind a request's session cookie. */
import { isAPIError } from 'better-auth/api';
import { personExists, removeUnfinishedPerson } from '../db/accounts.ts';
import { database } from '../db/client.ts';
import { isSessionOver, SEEN_EVERY_MS } from '../domain/session-end.ts';
import type { Env } from '../env.ts';
import { logSecurity } from '../lib/security-log.ts';
import { clientAddress, networkMark, takeAttempt } from '../rate-limits/attempts.ts';
import type { Person } from './account.ts';
import { auth } from './auth.ts';
import { hashBackupCode } from './backup-codes.ts';
import { takeCode } from './code-once.ts';
import { guessCode, guessPassword } from './guesses.ts';
import { rememberDevice } from './known-device.ts';
import { endSession, markSeen } from './sessions.ts';
import { logSignIn } from './sign-in-log.ts';
import { type TurnstileFault, turnstileFault } from './turnstile.ts';
import { type WeakPassword, weakPassword } from './weak-password.ts';

export type SessionRefusal =
  | { reason: 'wrong_credentials' }
  | { reason: 'email_taken' }
  | { reason: 'weak_password'; fault: WeakPassword }
  | { reason: 'turnstile'; fault: TurnstileFault }
  | { reason: 'too_many_attempts'; retryAfterMs: number }
  /** the password is right and a code is required: `cookies` name the person for the few minutes until it is typed */
  | { reason: 'second_factor'; cookies: readonly string[] }
  | { reason: 'wrong_code' }
  /** the code came too late or after too many tries: the sign-in begins again with the password */
  | { reason: 'code_over' }
  | { reason: 'link_over' };

/** `cookies`: `Set-Cookie` values that carry the new session. */
export type SessionResult =
  | { ok: true; person: Person; cookies: readonly string[] }
  | { ok: false; refusal: SessionRefusal };

/** A sign-up takes about a second: a person this old without a password is one whose sign-up was cut short. */
const UNFINISHED_AFTER_MS = 60_000;

interface SignUp {
  readonly name: string;
  readonly email: string;
  readonly password: string;
  readonly headers: Headers;
  readonly nowMs: number;
}

/**
 * Makes a person and their first session. A taken e-mail address is reported as such: without an e-mail round trip
 * any other answer would either lie or leave the newcomer stuck, and the throttle keeps this one from serving as a
 * directory of addresses.
 */
export function signUp(env: Env, request: SignUp & { turnstileToken: string }): Promise<SessionResult> {
  return logSignIn(env, 'sign_up', request.headers, signUpUnlessRefused(env, request));
}

async function signUpUnlessRefused(
  env: Env,
  request: SignUp & { turnstileToken: string },
): Promise<SessionResult> {
  const { name, email, password, turnstileToken, headers, nowMs } = request;
  const fault = await weakPassword(env, password, { email, name });
  if (fault) return { ok: false, refusal: { reason: 'weak_password', fault } };
  const byNetwork = { rule: 'sign_up_network', subject: clientAddress(headers) } as const;
  const attempt = await takeAttempt(env, [byNetwork], nowMs);
  if (attempt.retryAfterMs > 0) return tooManyAttempts(attempt);
  const address = clientAddress(headers);
  const unproven = await turnstileFault(env, { token: turnstileToken, address });
  if (unproven) return { ok: false, refusal: { reason: 'turnstile', fault: unproven } };
  return makePerson(env, request);
}

async function makePerson(env: Env, request: SignUp): Promise<SessionResult> {
  const { name, email, password, headers, nowMs } = request;
  try {
    const body = { name, email, password };
    const result = await auth(env).api.signUpEmail({ body, headers, returnHeaders: true });
    return await signedIn(env, headers, result);
  } catch (error) {
    const isTaken = isAPIError(error) && error.body?.code === 'USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL';
    // of two concurrent sign-ups (a double click) one violates the unique address, which better-auth throws as a failure
    if (!isTaken && !(await personExists(database(env), email))) throw error;
    const unfinished = { email, createdBeforeMs: nowMs - UNFINISHED_AFTER_MS };
    if (await removeUnfinishedPerson(database(env), unfinished)) return makePerson(env, request);
    return { ok: false, refusal: { reason: 'email_taken' } };
  }
}

/** An unknown address and a wrong password give the same answer after the same work: better-auth hashes in both cases. */
export function signIn(env: Env, request: WithPassword): Promise<SessionResult> {
  return logSignIn(env, 'password', request.headers, signInWithPassword(env, request));
}

interface WithPassword {
  readonly email: string;
  readonly password: string;
  readonly headers: Headers;
  readonly nowMs: number;
}

async function signInWithPassword(env: Env, request: WithPassword): Promise<SessionResult> {
  const { email, password, headers, nowMs } = request;
  const guess = await guessPassword(env, email, { headers, nowMs });
  if (guess.retryAfterMs > 0) return tooManyAttempts(guess);
  try {
    const result = await auth(env).api.signInEmail({
      body: { email, password },
      headers,
      returnHeaders: true,
    });
    await guess.forgive();
    return await signedIn(env, headers, result);
  } catch (error) {
    if (isAPIError(error) && error.statusCode < 500) {
      return { ok: false, refusal: { reason: 'wrong_credentials' } };
    }
    throw error;
  }
}

/** Completes a sign-in with the authenticator app's code, or with a backup code, kept for when the app is lost. */
export function signInWithCode(env: Env, request: WithCode): Promise<SessionResult> {
  return logSignIn(env, 'code', request.headers, finishWithCode(env, request));
}

interface WithCode {
  readonly code: string;
  readonly headers: Headers;
  readonly nowMs: number;
}

async function finishWithCode(env: Env, { code, headers, nowMs }: WithCode): Promise<SessionResult> {
  const { api } = auth(env);
  const personId = await api.challengedPerson({ headers });
  if (personId === null) return { ok: false, refusal: { reason: 'code_over' } };
  const guess = await guessCode(env, personId, { headers, nowMs });
  if (guess.retryAfterMs > 0) return tooManyAttempts(guess);
  try {
    const result = await (/^\d{6}$/.test(code)
      ? api.verifyTOTP(call(await takeCode(env, { personId, code, nowMs })))
      : api.verifyBackupCode(call(await hashBackupCode(code))));
    await guess.forgive();
    return await signedIn(env, headers, result);
  } catch (error) {
    if (!isAPIError(error) || error.statusCode >= 500) throw error;
    const wrong = error.body?.code === 'INVALID_CODE' || error.body?.code === 'INVALID_BACKUP_CODE';
    return { ok: false, refusal: { reason: wrong ? 'wrong_code' : 'code_over' } };
  }

  function call(text: string) {
    return { body: { code: text }, headers, returnHeaders: true } as const;
  }
}

/** Signs in with the link of an e-mail, which works once and for 10 minutes. */
export function signInByLink(env: Env, request: ByLink): Promise<SessionResult> {
  return logSignIn(env, 'link', request.headers, openLink(env, request));
}

interface ByLink {
  readonly token: string;
  readonly headers: Headers;
  readonly nowMs: number;
}

async function openLink(env: Env, { token, headers, nowMs }: ByLink): Promise<SessionResult> {
  const byNetwork = { rule: 'sign_in_step_network', subject: clientAddress(headers) } as const;
  const attempt = await takeAttempt(env, [byNetwork], nowMs);
  if (attempt.retryAfterMs > 0) return tooManyAttempts(attempt);
  try {
    const result = await auth(env).api.magicLinkVerify({ query: { token }, headers, returnHeaders: true });
    return await signedIn(env, headers, result);
  } catch (error) {
    // better-auth refuses with a redirect, which it throws
    if (isAPIError(error) && error.statusCode < 500) return { ok: false, refusal: { reason: 'link_over' } };
    throw error;
  }
}

/** Ends the session. @returns `Set-Cookie` values that delete its cookie */
export async function signOut(env: Env, headers: Headers): Promise<readonly string[]> {
  const { headers: responseHeaders } = await auth(env).api.signOut({ headers, returnHeaders: true });
  logSecurity('signed_out', { network: await networkMark(env, headers) });
  return responseHeaders.getSetCookie();
}

/**
 * The person whose session cookie the request carries; null: nobody, or the session is over. `cookies` replace a cookie
 * that was signed under an old secret.
 */
export async function personOf(
  env: Env,
  headers: Headers,
  nowMs: number,
): Promise<{ person: Person; sessionId: string; cookies: readonly string[] } | null> {
  const result = await auth(env).api.getSession({ headers, returnHeaders: true });
  const found = result.response;
  if (!found) return null;
  const { id: sessionId, createdAt, updatedAt } = found.session;
  const person = toPerson(found.user);
  const times = { createdAtMs: createdAt.getTime(), seenAtMs: updatedAt.getTime() };
  if (isSessionOver(person.role, times, nowMs)) {
    await endSession(env, { personId: person.id, sessionId });
    return null;
  }
  if (nowMs - times.seenAtMs >= SEEN_EVERY_MS) await markSeen(env, sessionId, nowMs);
  return { person, sessionId, cookies: result.headers.getSetCookie() };
}

/** The headers that a browser would send next, given these `Set-Cookie` values. */
export function cookiesSentBack(setCookies: readonly string[]): Headers {
  return new Headers({ cookie: setCookies.map((value) => value.split(';')[0]).join('; ') });
}

/** The parts of better-auth's user that a `Person` is made of. */
interface AuthUser {
  id: string;
  name: string;
  email: string;
  createdAt: Date;
  emailVerified: boolean;
  role?: string | null;
  twoFactorEnabled?: boolean | null;
}

/** A sign-in as better-auth answers it: with a session, or with the demand for a code. */
async function signedIn(
  env: Env,
  headers: Headers,
  result: { headers: Headers; response: { user: AuthUser } | { twoFactorRedirect: unknown } },
): Promise<SessionResult> {
  const cookies = result.headers.getSetCookie();
  const { response } = result;
  if (!('user' in response)) return { ok: false, refusal: { reason: 'second_factor', cookies } };
  const person = toPerson(response.user);
  return { ok: true, person, cookies: [...cookies, await rememberDevice(env, headers, person.id)] };
}

function tooManyAttempts({ retryAfterMs }: { retryAfterMs: number }): SessionResult {
  return { ok: false, refusal: { reason: 'too_many_attempts', retryAfterMs } };
}

function toPerson(user: AuthUser): Person {
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
