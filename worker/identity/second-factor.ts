/** The second factor: six digits of an authenticator app, and backup codes for when the app is lost. */
import { config, type Env } from '../env.ts';
import type { Locale } from '../i18n/locale.ts';
import { sendAccountEmail } from '../notifications/email/send.ts';
import type { Person } from './account.ts';
import { auth } from './auth.ts';
import { unlessRefused } from './credentials.ts';

export interface SecondFactor {
  /** `otpauth://…`, to be shown as a QR code */
  readonly uri: string;
  readonly backupCodes: readonly string[];
}

interface ChangedBy {
  readonly person: Person;
  readonly locale: Locale;
  readonly headers: Headers;
  readonly nowMs: number;
}

/**
 * Prepares a second factor. Sign-ins do not require it until `confirmSecondFactor` has seen a code of the app.
 * @returns null: the password is wrong
 */
export async function beginSecondFactor(
  env: Env,
  { password, headers }: { password: string; headers: Headers },
): Promise<SecondFactor | null> {
  let begun: SecondFactor | null = null;
  await unlessRefused(async () => {
    const result = await auth(env).api.enableTwoFactor({ body: { password, method: 'totp' }, headers });
    if (result.method === 'totp') begun = { uri: result.totpURI, backupCodes: result.backupCodes };
  });
  return begun;
}

/** Turns the second factor on. @returns `Set-Cookie` values of a new session; null: the code is wrong */
export async function confirmSecondFactor(
  env: Env,
  { code, ...changedBy }: ChangedBy & { code: string },
): Promise<readonly string[] | null> {
  let cookies: readonly string[] = [];
  const confirmed = await unlessRefused(async () => {
    const call = { body: { code }, headers: changedBy.headers, returnHeaders: true } as const;
    cookies = (await auth(env).api.verifyTOTP(call)).headers.getSetCookie();
  });
  if (confirmed) await sendChangeEmail(env, changedBy, 'second_factor_on');
  return confirmed ? cookies : null;
}

/** Turns the second factor off. @returns `Set-Cookie` values of a new session; null: the password is wrong */
export async function endSecondFactor(
  env: Env,
  { password, ...changedBy }: ChangedBy & { password: string },
): Promise<readonly string[] | null> {
  let cookies: readonly string[] = [];
  const ended = await unlessRefused(async () => {
    const call = { body: { password }, headers: changedBy.headers, returnHeaders: true } as const;
    cookies = (await auth(env).api.disableTwoFactor(call)).headers.getSetCookie();
  });
  if (ended) await sendChangeEmail(env, changedBy, 'second_factor_off');
  return ended ? cookies : null;
}

/** Every change is reported by e-mail, in case somebody else made it. */
function sendChangeEmail(
  env: Env,
  { person, locale, nowMs }: ChangedBy,
  what: 'second_factor_on' | 'second_factor_off',
) {
  const url = `${config(env).publicOrigin}/settings`;
  return sendAccountEmail(
    env,
    { to: person.email, locale, post: { kind: 'sign_in_changed', what, url } },
    nowMs,
  );
}
