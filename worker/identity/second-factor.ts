/** A second factor: an authenticator app's six digits, and codes to be kept for when it is lost. */
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

interface By {
  readonly person: Person;
  readonly locale: Locale;
  readonly headers: Headers;
  readonly nowMs: number;
}

/** Nothing is asked for yet: `confirm` shows that the app has it. @returns null: the password is wrong */
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

/** @returns the cookies of a new session; null: the code is wrong */
export async function confirmSecondFactor(
  env: Env,
  { code, ...by }: By & { code: string },
): Promise<readonly string[] | null> {
  let cookies: readonly string[] = [];
  const confirmed = await unlessRefused(async () => {
    const call = { body: { code }, headers: by.headers, returnHeaders: true } as const;
    cookies = (await auth(env).api.verifyTOTP(call)).headers.getSetCookie();
  });
  if (confirmed) await tell(env, by, 'second_factor_on');
  return confirmed ? cookies : null;
}

/** @returns the cookies of a new session; null: the password is wrong */
export async function endSecondFactor(
  env: Env,
  { password, ...by }: By & { password: string },
): Promise<readonly string[] | null> {
  let cookies: readonly string[] = [];
  const ended = await unlessRefused(async () => {
    const call = { body: { password }, headers: by.headers, returnHeaders: true } as const;
    cookies = (await auth(env).api.disableTwoFactor(call)).headers.getSetCookie();
  });
  if (ended) await tell(env, by, 'second_factor_off');
  return ended ? cookies : null;
}

function tell(env: Env, { person, locale, nowMs }: By, what: 'second_factor_on' | 'second_factor_off') {
  const url = `${config(env).publicOrigin}/settings`;
  return sendAccountEmail(
    env,
    { to: person.email, locale, post: { kind: 'sign_in_changed', what, url } },
    nowMs,
  );
}
