/**
 * Bindings and settings, typed, and parsed once per isolate. A missing or malformed setting fails at the first
 * request with an error that names it.
 */
import * as z from 'zod';
import type { BatchApi } from './domain/batch.ts';
import { type NanoUsd, nanoUsd } from './domain/money.ts';
import type { PoolApi } from './domain/node.ts';
import type { RateLimiterApi } from './domain/rate-limit.ts';
import { retentionMs } from './domain/retention.ts';
import type { ResponseStoreApi } from './domain/stored-response.ts';
import type { Task } from './domain/task.ts';
import type { WalletApi } from './domain/wallet.ts';
import { LoggableError } from './lib/describe-error.ts';
import { type Beside, ROTATING, type RotatingName, secretsOf } from './lib/rotation.ts';

/** A Durable Object namespace typed by the object's interface, so that this file imports none of the classes. */
type ObjectNamespace<Api> = DurableObjectNamespace<Api & Rpc.DurableObjectBranded>;

export interface Env {
  readonly DB: D1Database;
  /** One object per account, by account id. */
  readonly WALLET: ObjectNamespace<WalletApi>;
  /** One object per model, by model id. */
  readonly POOL: ObjectNamespace<PoolApi>;
  /** One object per batch, by batch id. */
  readonly BATCH: ObjectNamespace<BatchApi>;
  /** One object per subject of a rate limit, by a keyed hash of the subject. */
  readonly RATE_LIMITER: ObjectNamespace<RateLimiterApi>;
  /** Stored responses, one object per account, by account id. */
  readonly RESPONSES: ObjectNamespace<ResponseStoreApi>;
  /** Content of customers' files. */
  readonly FILES: R2Bucket;
  /** Requests and ledger entries that have left D1. */
  readonly ARCHIVE: R2Bucket;
  readonly TASKS: Queue<Task>;
  /** Cloudflare's Email Service; undefined when it is not bound. */
  readonly EMAIL?: SendEmail;
  readonly [setting: string]: unknown;
}

const secret = z.string({ error: 'is not set' }).min(16, 'must have at least 16 characters');
/** Hosts that no other machine reaches. */
const LOOPBACK = /^(localhost|[\w-]+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;
const milliseconds = (fallback: number) => z.coerce.number().int().positive().default(fallback);

const list = z
  .string()
  .default('')
  .transform((text) => text.split(/\s+/).filter((part) => part !== ''));

const optionalSecret = z.preprocess((value) => (value === '' ? undefined : value), secret.optional());

/** The settings that stand beside a secret while it is rotated. docs/deploy.md says how. */
const beside = {} as { [Name in `${RotatingName}_NEXT`]: typeof optionalSecret } & {
  [Name in `${RotatingName}_PREVIOUS`]: typeof list;
};
for (const name of ROTATING) {
  beside[`${name}_NEXT`] = optionalSecret;
  beside[`${name}_PREVIOUS`] = list;
}

const Settings = z
  .object({
    ...beside,
    /** Names of secrets whose `…_NEXT` is in use, and the secret itself only accepted. */
    USE_NEXT: list,
    /** Cookies, links in e-mails and the check of forms rest on it, so production takes no http. */
    PUBLIC_ORIGIN: z.url({ protocol: /^https?$/ }),
    ENVIRONMENT: z.enum(['development', 'production']).default('production'),
    /** Signs portal sessions. */
    AUTH_SECRET: secret,
    /** Keys the hash under which API keys are stored: losing it voids every key. */
    KEY_PEPPER: secret,
    /** Ed25519 private JWK. Its public half is served at the JWKS, which agents trust. */
    EDGE_SIGNING_KEY: secret,
    /** Bearer token of the operator API, for automation and for appointing the first operator. */
    OPERATOR_TOKEN: secret,
    SANDBOX_WEBHOOK_SECRET: secret,
    /** Secret or restricted API key. When it is set, top-ups are paid through Stripe. */
    STRIPE_SECRET_KEY: z
      .string()
      .regex(/^(sk|rk)_(test|live)_\S{8,}$/, 'must be a Stripe secret or restricted key (sk_… or rk_…)')
      .optional(),
    /** Signing secret of the Stripe endpoint that delivers to /webhooks/stripe. */
    STRIPE_WEBHOOK_SECRET: z
      .string()
      .regex(/^whsec_\S{16,}$/, 'must be the signing secret of the Stripe webhook endpoint (whsec_…)')
      .optional(),
    /** Client id of a GitHub OAuth app. When id and secret are set, people can sign in with GitHub. */
    GITHUB_CLIENT_ID: z
      .string()
      .regex(/^[\w.]{16,40}$/, 'must be the client id of a GitHub OAuth app')
      .optional(),
    GITHUB_CLIENT_SECRET: z
      .string()
      .regex(/^\w{32,80}$/, 'must be a client secret of the GitHub OAuth app')
      .optional(),
    /** Site key of a Turnstile widget. When both keys are set, a sign-up with a password demands its token. */
    TURNSTILE_SITE_KEY: z
      .string()
      .regex(/^[\w-]{10,64}$/, 'must be the site key of a Turnstile widget')
      .optional(),
    TURNSTILE_SECRET_KEY: z
      .string()
      .regex(/^[\w-]{16,128}$/, 'must be the secret key of the Turnstile widget')
      .optional(),
    /** Sender of e-mails, on a domain of Cloudflare's Email Service. Without it no e-mail is sent. */
    MAIL_FROM: z.email('must be an e-mail address').optional(),
    /** Issuer of invoices: a name and an address, with lines separated by `|`. */
    INVOICE_SELLER: z.string().min(1).default('Tollgate'),
    /** E-mail address on /privacy and /terms for questions; not set: they name the address of INVOICE_SELLER. */
    CONTACT_EMAIL: z.email('must be an e-mail address').optional(),
    /** Credit in nano-USD that an account gets when its owner's address is confirmed; 0: none. The default is $5. */
    TRIAL_GRANT_NANO_USD: z.coerce.number().int().min(0).default(5_000_000_000),
    /** Trial credit in nano-USD that all accounts together get per UTC day; 0: none. The default is $100. */
    TRIAL_DAILY_NANO_USD: z.coerce.number().int().min(0).default(100_000_000_000),
    /**
     * After this long without renewal a hold is orphaned and settled from the node's receipt; must exceed
     * FIRST_TOKEN_DEADLINE_MS. In ms; the default exceeds that setting's default by 30 s.
     */
    HOLD_LEASE_MS: milliseconds(150_000),
    /**
     * A key that makes several requests within this time gets a credit lease, and loses it after as long without one;
     * 0: no key gets a lease. In ms; the default of 1 s leases only to keys that are busy right now.
     */
    LEASE_BUSY_MS: z.coerce.number().int().min(0).default(1_000),
    /**
     * An orphaned hold waits this long for the node's receipt before it is voided. In ms; the default of ten minutes
     * lets an agent restart and resend what its journal holds.
     */
    RECEIPT_GRACE_MS: milliseconds(600_000),
    /**
     * A Wallet's entries are folded into an opening entry this long after their posting, once D1 has them. In ms; the
     * reason for the default is in domain/retention.ts.
     */
    LEDGER_FOLD_AFTER_MS: milliseconds(retentionMs('wallet_entry')),
    /**
     * A client waits at most this long for a first token, then gets a 504. In ms; the default of two minutes allows
     * for a queue and a long prompt.
     */
    FIRST_TOKEN_DEADLINE_MS: milliseconds(120_000),
    /**
     * A stream that is silent for longer counts as broken and its node as dead. In ms; the default of 45 s is far
     * longer than a working node pauses between tokens.
     */
    IDLE_DEADLINE_MS: milliseconds(45_000),
  })
  .check(({ value, issues }) => {
    const fault = (setting: keyof typeof value, message: string) =>
      issues.push({ code: 'custom', input: undefined, path: [setting], message });
    for (const name of value.USE_NEXT) {
      const known = ROTATING.find((each) => each === name);
      if (known === undefined) fault('USE_NEXT', `names what is none of ${ROTATING.join(', ')}`);
      else if (value[`${known}_NEXT`] === undefined)
        fault('USE_NEXT', `names ${known}, but ${known}_NEXT is not set`);
    }
    for (const name of ROTATING)
      if (value[`${name}_PREVIOUS`].some((each) => each.length < 16))
        fault(`${name}_PREVIOUS`, 'must be secrets of at least 16 characters, with spaces between them');
    const { STRIPE_SECRET_KEY: key, STRIPE_WEBHOOK_SECRET: webhookSecret } = value;
    if (key !== undefined && webhookSecret === undefined)
      fault('STRIPE_WEBHOOK_SECRET', 'is not set, but STRIPE_SECRET_KEY is: set both or neither');
    if (key === undefined && webhookSecret !== undefined)
      fault('STRIPE_SECRET_KEY', 'is not set, but STRIPE_WEBHOOK_SECRET is: set both or neither');
    const { GITHUB_CLIENT_ID: clientId, GITHUB_CLIENT_SECRET: clientSecret } = value;
    if (clientId !== undefined && clientSecret === undefined)
      fault('GITHUB_CLIENT_SECRET', 'is not set, but GITHUB_CLIENT_ID is: set both or neither');
    if (clientId === undefined && clientSecret !== undefined)
      fault('GITHUB_CLIENT_ID', 'is not set, but GITHUB_CLIENT_SECRET is: set both or neither');
    const { protocol, hostname } = new URL(value.PUBLIC_ORIGIN);
    if (protocol !== 'https:' && !(value.ENVIRONMENT === 'development' && LOOPBACK.test(hostname)))
      fault(
        'PUBLIC_ORIGIN',
        'must begin with https:// (http:// only on localhost, with ENVIRONMENT=development)',
      );
    const { TURNSTILE_SITE_KEY: siteKey, TURNSTILE_SECRET_KEY: widgetSecret } = value;
    if (siteKey !== undefined && widgetSecret === undefined)
      fault('TURNSTILE_SECRET_KEY', 'is not set, but TURNSTILE_SITE_KEY is: set both or neither');
    if (siteKey === undefined && widgetSecret !== undefined)
      fault('TURNSTILE_SITE_KEY', 'is not set, but TURNSTILE_SECRET_KEY is: set both or neither');
    const { TRIAL_GRANT_NANO_USD: grant, TRIAL_DAILY_NANO_USD: daily } = value;
    if (daily > 0 && daily < grant)
      fault(
        'TRIAL_DAILY_NANO_USD',
        'is less than TRIAL_GRANT_NANO_USD, so that no account would ever get it',
      );
    // Test mode takes card 4242…, which anybody can type: in production that would give credit for nothing.
    if (key !== undefined && value.ENVIRONMENT === 'production' && !key.includes('_live_'))
      fault('STRIPE_SECRET_KEY', 'is a test key: production needs a live one');
  });

export interface StripeSettings {
  readonly secretKey: string;
  readonly webhookSecret: string;
  /** Further accepted secrets: Stripe signs with two while one is rolled. Default: none. */
  readonly webhookSecretBeside?: Beside;
}

export interface GithubSettings {
  readonly clientId: string;
  readonly clientSecret: string;
}

export interface TurnstileSettings {
  readonly siteKey: string;
  readonly secretKey: string;
}

export interface Config {
  readonly publicOrigin: string;
  readonly development: boolean;
  readonly authSecret: string;
  readonly keyPepper: string;
  readonly edgeSigningKey: string;
  readonly operatorToken: string;
  readonly sandboxWebhookSecret: string;
  /** The secrets that are accepted beside those in use, while they are rotated. */
  readonly beside: Readonly<Record<RotatingName, Beside>>;
  /** null: top-ups are not paid through Stripe. */
  readonly stripe: StripeSettings | null;
  /** null: sign-in with GitHub is not offered. */
  readonly github: GithubSettings | null;
  /** null: a sign-up demands no proof that a person makes it. */
  readonly turnstile: TurnstileSettings | null;
  /** null: no e-mail is sent. */
  readonly mailFrom: string | null;
  /** Lines of an address block. */
  readonly seller: readonly string[];
  /** null: none is published. */
  readonly contactEmail: string | null;
  readonly trialGrantNanoUsd: NanoUsd;
  readonly trialDailyNanoUsd: NanoUsd;
  readonly holdLeaseMs: number;
  readonly leaseBusyMs: number;
  readonly receiptGraceMs: number;
  readonly ledgerFoldAfterMs: number;
  readonly firstTokenDeadlineMs: number;
  readonly idleDeadlineMs: number;
}

function mapSecrets<T>(map: (name: RotatingName) => T): Record<RotatingName, T> {
  return Object.fromEntries(ROTATING.map((name) => [name, map(name)])) as Record<RotatingName, T>;
}

const parsed = new WeakMap<object, Config>();

/** The parsed settings. @throws LoggableError naming each setting that is missing or wrong, and how to set it */
export function config(env: Env): Config {
  const known = parsed.get(env);
  if (known) return known;
  const result = Settings.safeParse(env);
  if (!result.success) {
    const faults = result.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`).join('; ');
    throw new LoggableError(
      `Tollgate is not configured: ${faults}. Set secrets with \`npx wrangler secret put NAME\`.`,
    );
  }
  const settings = result.data;
  const secrets = mapSecrets((name) =>
    secretsOf({
      now: settings[name] ?? '',
      next: settings[`${name}_NEXT`] ?? null,
      usesNext: settings.USE_NEXT.includes(name),
      previous: settings[`${name}_PREVIOUS`],
    }),
  );
  const fresh: Config = {
    publicOrigin: new URL(settings.PUBLIC_ORIGIN).origin,
    development: settings.ENVIRONMENT === 'development',
    authSecret: secrets.AUTH_SECRET.inUse,
    keyPepper: secrets.KEY_PEPPER.inUse,
    edgeSigningKey: secrets.EDGE_SIGNING_KEY.inUse,
    operatorToken: secrets.OPERATOR_TOKEN.inUse,
    sandboxWebhookSecret: secrets.SANDBOX_WEBHOOK_SECRET.inUse,
    beside: mapSecrets((name) => secrets[name].beside),
    stripe:
      settings.STRIPE_SECRET_KEY === undefined
        ? null
        : {
            secretKey: settings.STRIPE_SECRET_KEY,
            webhookSecret: secrets.STRIPE_WEBHOOK_SECRET.inUse,
            webhookSecretBeside: secrets.STRIPE_WEBHOOK_SECRET.beside,
          },
    turnstile:
      settings.TURNSTILE_SITE_KEY === undefined
        ? null
        : { siteKey: settings.TURNSTILE_SITE_KEY, secretKey: settings.TURNSTILE_SECRET_KEY! },
    github:
      settings.GITHUB_CLIENT_ID === undefined
        ? null
        : { clientId: settings.GITHUB_CLIENT_ID, clientSecret: settings.GITHUB_CLIENT_SECRET! },
    mailFrom: settings.MAIL_FROM ?? null,
    contactEmail: settings.CONTACT_EMAIL ?? null,
    seller: settings.INVOICE_SELLER.split('|').map((line) => line.trim()),
    trialGrantNanoUsd: nanoUsd(settings.TRIAL_GRANT_NANO_USD),
    trialDailyNanoUsd: nanoUsd(settings.TRIAL_DAILY_NANO_USD),
    holdLeaseMs: settings.HOLD_LEASE_MS,
    leaseBusyMs: settings.LEASE_BUSY_MS,
    receiptGraceMs: settings.RECEIPT_GRACE_MS,
    ledgerFoldAfterMs: settings.LEDGER_FOLD_AFTER_MS,
    firstTokenDeadlineMs: settings.FIRST_TOKEN_DEADLINE_MS,
    idleDeadlineMs: settings.IDLE_DEADLINE_MS,
  };
  parsed.set(env, fresh);
  return fresh;
}
