/**
 * better-auth over D1: passwords, GitHub, sessions and their cookies. The other files of identity/ call it as a
 * library; its own HTTP routes are not mounted, so the portal's forms are the only way in.
 */

import { waitUntil } from 'cloudflare:workers';
import { drizzleAdapter } from '@better-auth/drizzle-adapter';
import { createAuthEndpoint } from 'better-auth/api';
import type { SecretConfig } from 'better-auth/crypto';
import { type BetterAuthOptions, betterAuth } from 'better-auth/minimal';
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
import { SESSION_LIMITS } from '../domain/session-end.ts';
import { config, type Env } from '../env.ts';
import { isLocale, LOCALES, type Locale } from '../i18n/locale.ts';
import { sendAccountEmail } from '../notifications/email/send.ts';
import { clientAddress, takeAttempt } from '../rate-limits/attempts.ts';
import { logAuthFailure } from './auth-log.ts';
import { hashedBackupCodes, newBackupCodes } from './backup-codes.ts';
import { githubPerson } from './github-person.ts';
import { acceptOldCookies } from './old-signatures.ts';
import { authSecrets } from './second-factor-secrets.ts';
import { settleTrialOfConfirmed } from './trial.ts';

/** Bounds of a password, in characters, as NIST SP 800-63B counts them. There are no composition rules. */
export const PASSWORD_LENGTH_MIN = 10;
export const PASSWORD_LENGTH_MAX = 128;

const DAY_S = 86_400;
/** An address can be verified for a day, because the e-mail may be read hours later. The e-mail names the time. */
const VERIFY_WITHIN_S = DAY_S;
const RESET_WITHIN_S = 3_600;
/** As long as NIST SP 800-63B lets a code that is sent by another way live. */
const SIGN_IN_LINK_WITHIN_S = 600;

const GITHUB_CALLBACK = '/sign-in/github/callback';
/** Error code of a GitHub sign-up over the limit. The error's description is how long to wait, in ms. */
export const TOO_MANY_SIGN_UPS = 'too_many_sign_ups';

export type Auth = ReturnType<typeof build>;

const instances = new WeakMap<object, Auth>();

/** The better-auth instance of an environment, built once: building parses the schema, which is too slow per page. */
export function auth(env: Env): Auth {
  const known = instances.get(env);
  if (known) return known;
  const built = build(env);
  instances.set(env, built);
  return built;
}

function build(env: Env) {
  const { publicOrigin } = config(env);
  return betterAuth({
    appName: 'Tollgate',
    baseURL: publicOrigin,
    trustedOrigins: [publicOrigin],
    ...authSecrets(config(env)),
    database: drizzleAdapter(database(env), {
      provider: 'sqlite',
      schema: { person, personSession, personCredential, personVerification, personTwoFactor },
    }),
    ...MODELS,
    user: user(env),
    ...byGithub(env),
    ...byEmail(env),
    plugins: [acceptOldCookies(config(env)), secondFactor(env), challenge, signInLink(env)],
    // better-auth would limit only requests to its own routes, which are not mounted: rate-limits/ limits instead
    rateLimit: { enabled: false },
    advanced: {
      ...cookieNames(publicOrigin),
      ipAddress: { ipAddressHeaders: ['cf-connecting-ip'] },
      backgroundTasks: { handler: waitUntil },
    },
    telemetry: { enabled: false },
    logger: { level: 'error', log: logAuthFailure },
  });
}

/**
 * Over HTTPS a cookie's name begins with `__Host-`, so that no other host of the domain can set or read it. better-auth
 * itself would prefix `__Secure-`, which keeps only plain HTTP out.
 */
function cookieNames(publicOrigin: string) {
  const secure = publicOrigin.startsWith('https://');
  const cookiePrefix = secure ? '__Host-tollgate' : 'tollgate';
  return { cookiePrefix, useSecureCookies: false, defaultCookieAttributes: { secure } };
}

/** How better-auth's models map to our tables, and what each row may hold. */
const MODELS = {
  session: {
    modelName: 'personSession',
    // the absolute end: it is not moved by use. session.ts ends sessions earlier, by role and idle time.
    expiresIn: SESSION_LIMITS.customer.absoluteMs / 1_000,
    disableSessionRefresh: true,
  },
  account: {
    modelName: 'personCredential',
    // An attacker could sign up with a victim's address and wait for the victim to come by GitHub. Only a verified
    // address is linked, so that the two never share an account.
    accountLinking: { requireLocalEmailVerified: true },
    updateAccountOnSignIn: false,
  },
  databaseHooks: {
    // GitHub is queried once for the identity of the person; its tokens are not stored
    account: { create: { before: async () => ({ data: { accessToken: null, refreshToken: null } }) } },
  },
  // links in e-mails are credentials: the database stores only their hashes
  verification: { modelName: 'personVerification', storeIdentifier: 'hashed' },
} as const satisfies BetterAuthOptions;

function user(env: Env) {
  return {
    modelName: 'person',
    additionalFields: {
      // `input: false`: no form can make its sender an operator
      role: { type: 'string', required: false, defaultValue: 'customer', input: false },
      locale: { type: 'string', required: false, input: false },
    },
    validateUserInfo: async ({ source }, context) => {
      // this hook is the only place that knows whether a sign-in with GitHub makes a new person
      if (source.action !== 'create-user' || source.method !== 'oauth') return;
      const address = clientAddress(context.headers ?? new Headers());
      const byNetwork = { rule: 'sign_up_network', subject: address } as const;
      const { retryAfterMs } = await takeAttempt(env, [byNetwork], Date.now());
      return retryAfterMs > 0
        ? { error: TOO_MANY_SIGN_UPS, errorDescription: String(retryAfterMs) }
        : undefined;
    },
  } as const satisfies BetterAuthOptions['user'];
}

function byGithub(env: Env) {
  const { publicOrigin, github } = config(env);
  return {
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
    // github.ts reads the error from the query of this address; no browser goes there
    onAPIError: { errorURL: publicOrigin },
  } satisfies BetterAuthOptions;
}

function byEmail(env: Env) {
  const { publicOrigin } = config(env);
  return {
    emailAndPassword: {
      enabled: true,
      minPasswordLength: PASSWORD_LENGTH_MIN,
      maxPasswordLength: PASSWORD_LENGTH_MAX,
      revokeSessionsOnPasswordReset: true,
      resetPasswordTokenExpiresIn: RESET_WITHIN_S,
      sendResetPassword: ({ user, token }) =>
        send(env, user, { kind: 'reset', url: `${publicOrigin}/reset-password/${token}` }),
    },
    emailVerification: {
      expiresIn: VERIFY_WITHIN_S,
      afterEmailVerification: ({ id, email, createdAt }) =>
        settleTrialOfConfirmed(env, { id, email, createdAtMs: createdAt.getTime() }, Date.now()),
      sendVerificationEmail: ({ user, token }) =>
        send(env, user, { kind: 'verify', url: `${publicOrigin}/verify-email?token=${token}` }),
    },
  } satisfies BetterAuthOptions;
}

function signInLink(env: Env) {
  const { publicOrigin } = config(env);
  return magicLink({
    expiresIn: SIGN_IN_LINK_WITHIN_S,
    disableSignUp: true,
    storeToken: 'hashed',
    sendMagicLink: ({ email, token, metadata }) =>
      send(
        env,
        { email, locale: metadata?.locale },
        { kind: 'sign_in', url: `${publicOrigin}/sign-in/link/${token}` },
      ),
  });
}

function send(env: Env, to: { email: string; locale?: string | null }, email: AccountEmail) {
  const locale = isLocale(to.locale ?? undefined) ? (to.locale as Locale) : LOCALES[0];
  return sendAccountEmail(env, { to: to.email, locale, post: email }, Date.now());
}

/** better-auth asks for the second factor after a password only. This widens its hook to GitHub and to links. */
function secondFactor(env: Env) {
  const plugin = twoFactor({
    issuer: 'Tollgate',
    twoFactorTable: 'personTwoFactor',
    // it would lock the person out together with whoever guesses: guesses.ts counts instead
    accountLockout: { enabled: false },
    backupCodeOptions: {
      customBackupCodesGenerate: newBackupCodes,
      storeBackupCodes: hashedBackupCodes(() => encryptionKey(env)),
    },
  });
  const after = plugin.hooks.after.map(({ matcher, handler }) => ({
    handler,
    matcher: (context: Parameters<typeof matcher>[0]) =>
      matcher(context) || context.path === '/callback/:id' || context.path === '/magic-link/verify',
  }));
  return { ...plugin, hooks: { after } };
}

/** The key that better-auth encrypts with. */
export async function encryptionKey(env: Env): Promise<string | SecretConfig> {
  return (await auth(env).$context).secretConfig;
}

/** Tells who is asked for a code, before the code is verified: the id of the person that the cookie names, or null. */
const challenge = {
  id: 'challenge',
  endpoints: {
    challengedPerson: createAuthEndpoint.serverOnly({ method: 'GET', requireHeaders: true }, async (c) => {
      const cookie = c.context.createAuthCookie('two_factor');
      const identifier = await c.getSignedCookie(cookie.name, c.context.secret);
      const found = identifier && (await c.context.internalAdapter.findVerificationValue(identifier));
      return found ? found.value : null;
    }),
  },
} as const;
