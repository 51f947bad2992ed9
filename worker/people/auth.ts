/**
 * better-auth over D1: passwords, sessions and their cookies. It is called as a library from people/session.ts;
 * its own HTTP routes are not mounted, so the portal's forms are the only way in.
 */

import { waitUntil } from 'cloudflare:workers';
import { drizzleAdapter } from '@better-auth/drizzle-adapter';
import { betterAuth } from 'better-auth/minimal';
import { database } from '../db/client.ts';
import { person, personCredential, personSession, personVerification } from '../db/schema.ts';
import { config, type Env } from '../env.ts';

/** Counted in characters, as NIST SP 800-63B counts them; no rules of composition. */
export const PASSWORD_LENGTH_MIN = 10;
export const PASSWORD_LENGTH_MAX = 128;

const SESSION_DAYS = 14;
const DAY_S = 86_400;

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
  return betterAuth({
    appName: 'Tollgate',
    baseURL: publicOrigin,
    trustedOrigins: [publicOrigin],
    secret: authSecret,
    database: drizzleAdapter(database(env), {
      provider: 'sqlite',
      schema: { person, personSession, personCredential, personVerification },
    }),
    user: {
      modelName: 'person',
      additionalFields: {
        // `input: false`: nobody names themselves operator in a form
        role: { type: 'string', required: false, defaultValue: 'customer', input: false },
      },
    },
    session: {
      modelName: 'personSession',
      expiresIn: SESSION_DAYS * DAY_S,
      updateAge: DAY_S,
    },
    account: { modelName: 'personCredential' },
    verification: { modelName: 'personVerification' },
    emailAndPassword: {
      enabled: true,
      minPasswordLength: PASSWORD_LENGTH_MIN,
      maxPasswordLength: PASSWORD_LENGTH_MAX,
      revokeSessionsOnPasswordReset: true,
    },
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
