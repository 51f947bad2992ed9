/**
 * better-auth over D1: passwords, sessions and their cookies. It is called as a library from people/session.ts;
 * its own HTTP routes are not mounted, so the portal's forms are the only way in.
 */

import { waitUntil } from 'cloudflare:workers';
import { drizzleAdapter } from '@better-auth/drizzle-adapter';
import { betterAuth } from 'better-auth/minimal';
import { magicLink } from 'better-auth/plugins/magic-link';
import { twoFactor } from 'better-auth/plugins/two-factor';
import { database } from '../db/client.ts';
import {
  person,
  personCredential,
  personSession,
  personTwoFactor,
  personVerification,
} from '../db/schema.ts';
import type { Post } from '../domain/post.ts';
import { config, type Env } from '../env.ts';
import { sendLetter } from '../mail/post.ts';
import { isLocale, LOCALES, type Locale } from '../portal/language/locale.ts';

/** Counted in characters, as NIST SP 800-63B counts them; no rules of composition. */
export const PASSWORD_LENGTH_MIN = 10;
export const PASSWORD_LENGTH_MAX = 128;

const SESSION_DAYS = 14;
const DAY_S = 86_400;
/** Long enough to be read later in the day; the letter says so. */
const VERIFY_WITHIN_S = DAY_S;
const RESET_WITHIN_S = 3_600;
const SIGN_IN_LINK_WITHIN_S = 900;

export type Auth = ReturnType<typeof build>;

const instances = new WeakMap<object, Auth>();

/** One instance an environment: building it parses the schema, which need not happen for every page. */
export function auth(env: Env): Auth {
  const known = instances.get(env);
  if (known) return known;
  const fresh = build(env);
  instances.set(env, fresh);
  return fresh;
}

function build(env: Env) {
  const { publicOrigin, authSecret } = config(env);
  const post = (to: { email: string; locale?: string | null }, letter: Post) => {
    const locale = isLocale(to.locale ?? undefined) ? (to.locale as Locale) : LOCALES[0];
    return sendLetter(env, { to: to.email, locale, post: letter }, Date.now());
  };
  return betterAuth({
    appName: 'Tollgate',
    baseURL: publicOrigin,
    trustedOrigins: [publicOrigin],
    secret: authSecret,
    database: drizzleAdapter(database(env), {
      provider: 'sqlite',
      schema: { person, personSession, personCredential, personVerification, personTwoFactor },
    }),
    user: {
      modelName: 'person',
      additionalFields: {
        // `input: false`: nobody names themselves operator in a form
        role: { type: 'string', required: false, defaultValue: 'customer', input: false },
        locale: { type: 'string', required: false, input: false },
      },
    },
    session: {
      modelName: 'personSession',
      expiresIn: SESSION_DAYS * DAY_S,
      updateAge: DAY_S,
    },
    account: { modelName: 'personCredential' },
    // links in letters are keys: the database knows their hashes
    verification: { modelName: 'personVerification', storeIdentifier: 'hashed' },
    emailAndPassword: {
      enabled: true,
      minPasswordLength: PASSWORD_LENGTH_MIN,
      maxPasswordLength: PASSWORD_LENGTH_MAX,
      revokeSessionsOnPasswordReset: true,
      resetPasswordTokenExpiresIn: RESET_WITHIN_S,
      sendResetPassword: ({ user, token }) =>
        post(user, { kind: 'reset', url: `${publicOrigin}/reset-password/${token}` }),
    },
    emailVerification: {
      expiresIn: VERIFY_WITHIN_S,
      sendVerificationEmail: ({ user, token }) =>
        post(user, { kind: 'verify', url: `${publicOrigin}/verify-email?token=${token}` }),
    },
    plugins: [
      twoFactor({ issuer: 'Tollgate', twoFactorTable: 'personTwoFactor' }),
      magicLink({
        expiresIn: SIGN_IN_LINK_WITHIN_S,
        disableSignUp: true,
        storeToken: 'hashed',
        sendMagicLink: ({ email, token, metadata }) =>
          post(
            { email, locale: metadata?.locale },
            { kind: 'sign_in', url: `${publicOrigin}/sign-in/link/${token}` },
          ),
      }),
    ],
    // better-auth limits only requests to its own routes, which are not mounted: people/throttle.ts does it
    rateLimit: { enabled: false },
    advanced: {
      cookiePrefix: 'tollgate',
      useSecureCookies: publicOrigin.startsWith('https://'),
      ipAddress: { ipAddressHeaders: ['cf-connecting-ip'] },
      backgroundTasks: { handler: waitUntil },
    },
    telemetry: { enabled: false },
    logger: { level: 'error' },
  });
}
