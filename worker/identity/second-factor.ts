/** The second factor: six digits of an authenticator app, and backup codes for when the app is lost. */
import type { AccountEmail } from '../domain/account-email.ts';
import { config, type Env } from '../env.ts';
import { logSecurity } from '../lib/security-log.ts';
import { sendAccountEmail } from '../notifications/email/send.ts';
import { auth } from './auth.ts';
import { takeCode } from './code-once.ts';
import { type ChangedBy, unlessRefused } from './credentials.ts';
import { guessInSession } from './guesses.ts';
import { cookiesSentBack, personOf } from './session.ts';
import { endOtherSessions } from './sessions.ts';

export interface SecondFactor {
  /** `otpauth://…`, to be shown as a QR code */
  readonly uri: string;
  readonly backupCodes: readonly string[];
}

/** The result of a change: done; or that the password or code is wrong; or how long to wait before the next try. */
export type Changed<Value> = { ok: true; value: Value } | { ok: false; retryAfterMs: number };

type Cookies = readonly string[];
type What = Extract<AccountEmail, { kind: 'sign_in_changed' }>['what'];

/**
 * Prepares a second factor. Sign-ins do not require it until `confirmSecondFactor` has seen a code of the app.
 */
export function beginSecondFactor(
  env: Env,
  { password, ...changedBy }: ChangedBy & { password: string },
): Promise<Changed<SecondFactor>> {
  return guarded(env, changedBy, async () => {
    const { headers } = changedBy;
    const result = await auth(env).api.enableTwoFactor({ body: { password, method: 'totp' }, headers });
    return result.method === 'totp' ? { uri: result.totpURI, backupCodes: result.backupCodes } : null;
  });
}

/** Turns the second factor on and ends the person's other sessions. @returns `Set-Cookie` values of a new session */
export async function confirmSecondFactor(
  env: Env,
  { code, ...changedBy }: ChangedBy & { code: string },
): Promise<Changed<Cookies>> {
  const { person, headers, nowMs } = changedBy;
  return changed(env, changedBy, 'second_factor_on', async () => {
    const body = { code: await takeCode(env, { personId: person.id, code, nowMs }) };
    const result = await auth(env).api.verifyTOTP({ body, headers, returnHeaders: true });
    return result.headers.getSetCookie();
  });
}

/** Turns the second factor off and ends the person's other sessions. @returns `Set-Cookie` values of a new session */
export function endSecondFactor(
  env: Env,
  { password, ...changedBy }: ChangedBy & { password: string },
): Promise<Changed<Cookies>> {
  const call = { body: { password }, headers: changedBy.headers, returnHeaders: true } as const;
  return changed(env, changedBy, 'second_factor_off', async () =>
    (await auth(env).api.disableTwoFactor(call)).headers.getSetCookie(),
  );
}

/** Replaces all backup codes by new ones. */
export async function renewBackupCodes(
  env: Env,
  { password, ...changedBy }: ChangedBy & { password: string },
): Promise<Changed<readonly string[]>> {
  const renewed = await guarded(env, changedBy, async () => {
    const { headers } = changedBy;
    return (await auth(env).api.generateBackupCodes({ body: { password }, headers })).backupCodes;
  });
  if (renewed.ok) await sendChangeEmail(env, changedBy, 'backup_codes');
  return renewed;
}

/** A change that rotates the session: the other sessions end, and the person is told. */
async function changed(
  env: Env,
  changedBy: ChangedBy,
  what: What,
  change: () => Promise<Cookies>,
): Promise<Changed<Cookies>> {
  const result = await guarded(env, changedBy, change);
  if (!result.ok) return result;
  const { person, nowMs } = changedBy;
  const current = await personOf(env, cookiesSentBack(result.value), nowMs);
  const sessionId = current?.sessionId ?? changedBy.sessionId;
  await endOtherSessions(env, { personId: person.id, sessionId });
  await sendChangeEmail(env, changedBy, what);
  return result;
}

/** Makes a change that needs the password or a code, counted as a guess of it. */
async function guarded<Value>(
  env: Env,
  { person, sessionId, nowMs }: ChangedBy,
  change: () => Promise<Value | null>,
): Promise<Changed<Value>> {
  const guess = await guessInSession(env, sessionId, nowMs);
  if (guess.retryAfterMs > 0) return { ok: false, retryAfterMs: guess.retryAfterMs };
  let value: Value | null = null;
  await unlessRefused(async () => {
    value = await change();
  });
  if (value === null) {
    logSecurity('proof_refused', { person: person.id, asked: 'second_factor' });
    return { ok: false, retryAfterMs: 0 };
  }
  await guess.forgive();
  return { ok: true, value };
}

/** Every change is reported by e-mail, in case somebody else made it. */
function sendChangeEmail(env: Env, { person, locale, nowMs }: ChangedBy, what: What) {
  logSecurity('sign_in_changed', { person: person.id, what });
  const url = `${config(env).publicOrigin}/settings`;
  return sendAccountEmail(
    env,
    { to: person.email, locale, post: { kind: 'sign_in_changed', what, url } },
    nowMs,
  );
}
