/**
 * Links that are sent by e-mail, and the password. Each function answers alike for known and unknown addresses, so
 * that it does not reveal who has an account.
 */
import { isAPIError } from 'better-auth/api';
import { config, type Env } from '../env.ts';
import type { Locale } from '../i18n/locale.ts';
import { logSecurity } from '../lib/security-log.ts';
import { sendAccountEmail } from '../notifications/email/send.ts';
import { clientAddress, takeAttempt } from '../rate-limits/attempts.ts';
import type { Person } from './account.ts';
import { auth } from './auth.ts';
import { guessInSession } from './guesses.ts';
import { rememberDevice } from './known-device.ts';
import { emailTokenSignedAnew } from './old-signatures.ts';
import { type WeakPassword, weakPassword } from './weak-password.ts';

/** 0: the e-mail was requested; otherwise how long to wait before asking again, in ms */
type RetryAfterMs = Promise<number>;

interface EmailRequest {
  readonly email: string;
  readonly locale: Locale;
  readonly headers: Headers;
  readonly nowMs: number;
}

/**
 * Counts a requested e-mail against the network that asks and the inbox that would get it, whether or not anybody here
 * has the address: a refusal reveals nothing.
 */
function takeEmail(env: Env, { email, headers, nowMs }: Omit<EmailRequest, 'locale'>) {
  return takeAttempt(
    env,
    [
      { rule: 'email_network', subject: clientAddress(headers) },
      { rule: 'email_recipient', subject: email },
    ],
    nowMs,
  );
}

export async function askForSignInLink(
  env: Env,
  { email, locale, headers, nowMs }: EmailRequest,
): RetryAfterMs {
  const { retryAfterMs } = await takeEmail(env, { email, headers, nowMs });
  if (retryAfterMs === 0) {
    await auth(env).api.signInMagicLink({ body: { email, metadata: { locale } }, headers });
  }
  return retryAfterMs;
}

export async function askForPasswordReset(env: Env, { email, headers, nowMs }: EmailRequest): RetryAfterMs {
  const { retryAfterMs } = await takeEmail(env, { email, headers, nowMs });
  if (retryAfterMs === 0) await auth(env).api.requestPasswordReset({ body: { email }, headers });
  return retryAfterMs;
}

export async function askForVerification(env: Env, { email, headers, nowMs }: EmailRequest): RetryAfterMs {
  const { retryAfterMs } = await takeEmail(env, { email, headers, nowMs });
  if (retryAfterMs === 0) await auth(env).api.sendVerificationEmail({ body: { email }, headers });
  return retryAfterMs;
}

export type PasswordReset =
  /** `Set-Cookie` values that make the device known: whoever has the inbox is not slowed down by others' guesses. */
  | { ok: true; cookies: readonly string[] }
  /** the link was used, has expired, or never existed */
  | { ok: false; reason: 'over' }
  | { ok: false; reason: 'weak_password'; fault: WeakPassword }
  | { ok: false; reason: 'too_many_attempts'; retryAfterMs: number };

/** Sets a new password with the link of an e-mail, and ends all sessions. A weak password does not use the link up. */
export async function resetPassword(
  env: Env,
  reset: { token: string; password: string; headers: Headers; nowMs: number },
): Promise<PasswordReset> {
  const { token, password, headers, nowMs } = reset;
  const { retryAfterMs } = await takeLink(env, headers, nowMs);
  if (retryAfterMs > 0) return { ok: false, reason: 'too_many_attempts', retryAfterMs };
  const { internalAdapter } = await auth(env).$context;
  const link = await internalAdapter.findVerificationValue(`reset-password:${token}`);
  const person = link && (await internalAdapter.findUserById(link.value));
  if (!person) return { ok: false, reason: 'over' };
  const fault = await weakPassword(env, password, person);
  if (fault) return { ok: false, reason: 'weak_password', fault };
  const call = { body: { token, newPassword: password } };
  if (!(await unlessRefused(() => auth(env).api.resetPassword(call)))) return { ok: false, reason: 'over' };
  logSecurity('sign_in_changed', { person: person.id, what: 'password_reset' });
  return { ok: true, cookies: [await rememberDevice(env, headers, person.id)] };
}

/** Counts a use of an e-mail's link against the network that it comes from. */
export function takeLink(env: Env, headers: Headers, nowMs: number) {
  const byNetwork = { rule: 'sign_in_step_network', subject: clientAddress(headers) } as const;
  return takeAttempt(env, [byNetwork], nowMs);
}

/** @returns false: the link has expired or never existed */
export async function verifyEmail(env: Env, token: string): Promise<boolean> {
  const signed = await emailTokenSignedAnew(config(env), token);
  return unlessRefused(() => auth(env).api.verifyEmail({ query: { token: signed } }));
}

/** The signed-in person who changes how they sign in. */
export interface ChangedBy {
  readonly person: Person;
  readonly sessionId: string;
  readonly locale: Locale;
  readonly headers: Headers;
  readonly nowMs: number;
}

export type PasswordChange =
  /** `Set-Cookie` values of a new session */
  | { ok: true; cookies: readonly string[] }
  | { ok: false; fault: 'password_wrong' | WeakPassword; retryAfterMs?: undefined }
  | { ok: false; retryAfterMs: number };

/** Changes the password, ends the person's other sessions and tells them by e-mail. */
export async function changePassword(
  env: Env,
  change: ChangedBy & { current: string; next: string },
): Promise<PasswordChange> {
  const { person, sessionId, current, next, locale, headers, nowMs } = change;
  const weak = await weakPassword(env, next, person);
  if (weak) return { ok: false, fault: weak };
  const guess = await guessInSession(env, sessionId, nowMs);
  if (guess.retryAfterMs > 0) return { ok: false, retryAfterMs: guess.retryAfterMs };
  let cookies: readonly string[] = [];
  const changed = await unlessRefused(async () => {
    const { headers: responseHeaders } = await auth(env).api.changePassword({
      body: { currentPassword: current, newPassword: next, revokeOtherSessions: true },
      headers,
      returnHeaders: true,
    });
    cookies = responseHeaders.getSetCookie();
  });
  if (!changed) {
    logSecurity('proof_refused', { person: person.id, asked: 'password' });
    return { ok: false, fault: 'password_wrong' };
  }
  logSecurity('sign_in_changed', { person: person.id, what: 'password' });
  await guess.forgive();
  const url = `${config(env).publicOrigin}/settings`;
  await sendAccountEmail(
    env,
    { to: person.email, locale, post: { kind: 'sign_in_changed', what: 'password', url } },
    nowMs,
  );
  return { ok: true, cookies: [...cookies, await rememberDevice(env, headers, person.id)] };
}

/** @returns false: better-auth refused the call with a 4xx. Other errors are thrown on. */
export async function unlessRefused(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (isAPIError(error) && error.statusCode < 500) return false;
    throw error;
  }
}
