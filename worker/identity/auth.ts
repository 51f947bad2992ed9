/**
 * better-auth over D1: passwords, GitHub, sessions and their cookies. It is called as a library from people/*.ts;
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
import type { AccountEmail } from '../domain/account-email.ts';
import { config, type Env } from '../env.ts';
import { isLocale, LOCALES, type Locale } from '../i18n/locale.ts';
import { attemptFrom, SIGN_UPS_PER_ADDRESS } from '../lib/throttle.ts';
import { sendAccountEmail } from '../notifications/email/send.ts';
import { githubPerson } from './github-person.ts';

/** Counted in characters, as NIST SP 800-63B counts them; no rules of composition. */
export const PASSWORD_LENGTH_MIN = 10;
export const PASSWORD_LENGTH_MAX = 128;

const SESSION_DAYS = 14;
const DAY_S = 86_400;
/** Long enough to be read later in the day; the letter says so. */
const VERIFY_WITHIN_S = DAY_S;
const RESET_WITHIN_S = 3_600;
const SIGN_IN_LINK_WITHIN_S = 900;

const GITHUB_CALLBACK = '/sign-in/github/callback';
/** the error of a sign-in with GitHub; its description is how long to wait, in ms */
export const TOO_MANY_SIGN_UPS = 'too_many_sign_ups';

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
  const { publicOrigin, authSecret, github } = config(env);
  const post = (to: { email: string; locale?: string | null }, letter: AccountEmail) => {
    const locale = isLocale(to.locale ?? undefined) ? (to.locale as Locale) : LOCALES[0];
    return sendAccountEmail(env, { to: to.email, locale, post: letter }, Date.now());
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
      validateUserInfo: ({ source }, context) => {
        // only here is it known that a sign-in with GitHub is somebody new
        if (source.action !== 'create-user' || source.method !== 'oauth') return;
        const headers = context.headers ?? new Headers();
        const waitMs = attemptFrom(headers, 'sign-up', SIGN_UPS_PER_ADDRESS, Date.now());
        return waitMs > 0 ? { error: TOO_MANY_SIGN_UPS, errorDescription: String(waitMs) } : undefined;
      },
    },
    session: {
      modelName: 'personSession',
      expiresIn: SESSION_DAYS * DAY_S,
      updateAge: DAY_S,
    },
    account: {
      modelName: 'personCredential',
      // An address that nobody has confirmed here may be another's, who waits for its owner to come by GitHub.
      accountLinking: { requireLocalEmailVerified: true },
      updateAccountOnSignIn: false,
    },
    databaseHooks: {
      // GitHub says once who it is; the tokens with which it can be asked again are not kept
      account: { create: { before: async () => ({ data: { accessToken: null, refreshToken: null } }) } },
    },
    socialProviders: github
      ? {
          github: {
            ...github,
            redirectURI: `${publicOrigin}${GITHUB_CALLBACK}`,
            disableDefaultScope: true,
            scope: ['user:email'],
            getUserInfo: githubPerson,
          },
        }
      : {},
    // people/github.ts reads the error off this address; no browser goes there
    onAPIError: { errorURL: publicOrigin },
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
      secondFactor(),
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

/** better-auth asks for the code after a password only; here it does after GitHub, too. */
function secondFactor() {
  const plugin = twoFactor({ issuer: 'Tollgate', twoFactorTable: 'personTwoFactor' });
  const after = plugin.hooks.after.map(({ matcher, handler }) => ({
    handler,
    matcher: (context: Parameters<typeof matcher>[0]) => matcher(context) || context.path === '/callback/:id',
  }));
  return { ...plugin, hooks: { after } };
}
