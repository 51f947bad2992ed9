/** What lets a person in: links in letters, and their password. Answers are the same whether or not somebody is there. */
import { isAPIError } from 'better-auth/api';
import { config, type Env } from '../env.ts';
import type { Locale } from '../i18n/locale.ts';
import { attemptFrom, EMAILS_PER_ADDRESS } from '../lib/throttle.ts';
import { sendAccountEmail } from '../notifications/email/send.ts';
import type { Person } from './account.ts';
import { auth } from './auth.ts';

/** 0: it was asked for; else how long to wait, in ms */
type Asked = Promise<number>;

interface AskedBy {
  readonly email: string;
  readonly locale: Locale;
  readonly headers: Headers;
  readonly nowMs: number;
}

export async function askForSignInLink(env: Env, { email, locale, headers, nowMs }: AskedBy): Asked {
  const retryAfterMs = attemptFrom(headers, 'letter', EMAILS_PER_ADDRESS, nowMs);
  if (retryAfterMs === 0) {
    await auth(env).api.signInMagicLink({ body: { email, metadata: { locale } }, headers });
  }
  return retryAfterMs;
}

export async function askForPasswordReset(env: Env, { email, headers, nowMs }: AskedBy): Asked {
  const retryAfterMs = attemptFrom(headers, 'letter', EMAILS_PER_ADDRESS, nowMs);
  if (retryAfterMs === 0) await auth(env).api.requestPasswordReset({ body: { email }, headers });
  return retryAfterMs;
}

export async function askForVerification(env: Env, { email, headers, nowMs }: AskedBy): Asked {
  const retryAfterMs = attemptFrom(headers, 'letter', EMAILS_PER_ADDRESS, nowMs);
  if (retryAfterMs === 0) await auth(env).api.sendVerificationEmail({ body: { email }, headers });
  return retryAfterMs;
}

/** @returns false: the link is spent, has expired, or never was */
export function resetPassword(env: Env, { token, password }: { token: string; password: string }) {
  return unlessRefused(() => auth(env).api.resetPassword({ body: { token, newPassword: password } }));
}

/** @returns false: the link has expired or never was */
export function verifyEmail(env: Env, token: string): Promise<boolean> {
  return unlessRefused(() => auth(env).api.verifyEmail({ query: { token } }));
}

/** Ends the person's other sessions. @returns the cookies of a new session; null: the present password is wrong */
export async function changePassword(
  env: Env,
  change: { person: Person; current: string; next: string; locale: Locale; headers: Headers; nowMs: number },
): Promise<readonly string[] | null> {
  const { person, current, next, locale, headers, nowMs } = change;
  let cookies: readonly string[] = [];
  const changed = await unlessRefused(async () => {
    const { headers: answer } = await auth(env).api.changePassword({
      body: { currentPassword: current, newPassword: next, revokeOtherSessions: true },
      headers,
      returnHeaders: true,
    });
    cookies = answer.getSetCookie();
  });
  if (!changed) return null;
  const url = `${config(env).publicOrigin}/settings`;
  await sendAccountEmail(
    env,
    { to: person.email, locale, post: { kind: 'sign_in_changed', what: 'password', url } },
    nowMs,
  );
  return cookies;
}

/** @returns whether it was done; what better-auth refuses was not */
export async function unlessRefused(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (isAPIError(error) && error.statusCode < 500) return false;
    throw error;
  }
}
