/** Accounts, their members and invitations, and API keys. */
import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { KEY_SCOPES } from '../../domain/principal-kind.ts';
import { MEMBER_ROLES } from '../../domain/team.ts';
import { person } from './people.ts';

/** The party that pays. Its money is not stored here: the Wallet with the same id owns it. */
export const account = sqliteTable(
  'account',
  {
    id: text('id').primaryKey(),
    name: text('name').notNull(),
    createdAtMs: integer('created_at_ms').notNull(),
    /** The limit over all its keys together; each key may have a lower one. */
    requestsPerMinute: integer('requests_per_minute').notNull().default(6_000),
    /** null: no limit. */
    tokensPerMinute: integer('tokens_per_minute'),
    concurrency: integer('concurrency').notNull().default(1_000),
    /** Spend per `capPeriod` over all keys; null: no cap. */
    capNanoUsd: integer('cap_nano_usd'),
    capPeriod: text('cap_period', { enum: ['day', 'month', 'total'] })
      .notNull()
      .default('month'),
    /** When an operator suspended it, so that its keys are refused; null: it is not suspended. */
    suspendedAtMs: integer('suspended_at_ms'),
    /** When it was decided whether it gets trial credit (identity/trial.ts); null: its owner's address is unconfirmed. */
    trialDecidedAtMs: integer('trial_decided_at_ms'),
    /** When it was noted which inbox has had its trial credit; null: it is not decided, or was before inboxes were noted. */
    trialNotedAtMs: integer('trial_noted_at_ms'),
    /** When its owner closed it, for good; null: it is open. */
    closedAtMs: integer('closed_at_ms'),
  },
  (t) => [
    // Closed accounts whose names and addresses are still to be erased; erasing sets the name to the id.
    index('account_trial_to_note')
      .on(t.trialDecidedAtMs)
      .where(sql`trial_decided_at_ms IS NOT NULL AND trial_noted_at_ms IS NULL AND closed_at_ms IS NULL`),
    index('account_to_erase').on(t.closedAtMs).where(sql`closed_at_ms IS NOT NULL AND name <> id`),
  ],
);

export const member = sqliteTable(
  'member',
  {
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    personId: text('person_id')
      .notNull()
      .references(() => person.id),
    role: text('role', { enum: MEMBER_ROLES }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.accountId, t.personId] }), index('member_by_person').on(t.personId)],
);

/** An invitation to become a member. The link in the e-mail carries a token that is stored only as its SHA-256. */
export const invitation = sqliteTable(
  'invitation',
  {
    id: text('id').primaryKey(),
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    email: text('email').notNull(),
    role: text('role', { enum: MEMBER_ROLES }).notNull(),
    tokenHash: text('token_hash').notNull().unique(),
    invitedBy: text('invited_by')
      .notNull()
      .references(() => person.id),
    createdAtMs: integer('created_at_ms').notNull(),
    expiresAtMs: integer('expires_at_ms').notNull(),
    acceptedAtMs: integer('accepted_at_ms'),
    revokedAtMs: integer('revoked_at_ms'),
  },
  (t) => [
    index('invitation_by_account').on(t.accountId, t.createdAtMs),
    index('invitation_by_expiry').on(t.expiresAtMs),
  ],
);

export const apiKey = sqliteTable(
  'api_key',
  {
    id: text('id').primaryKey(),
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    name: text('name').notNull(),
    /** HMAC-SHA-256 of the key under KEY_PEPPER, base64url; the key itself is stored nowhere. */
    hash: text('hash').notNull().unique(),
    /** Id of the pepper under which `hash` was made; null: made before peppers had ids, under the oldest one known. */
    pepperId: text('pepper_id'),
    lastFour: text('last_four').notNull(),
    /** A management key can manage keys and nothing else. */
    scope: text('scope', { enum: KEY_SCOPES }).notNull().default('inference'),
    /** Model ids that the key may use; null: all. */
    models: text('models', { mode: 'json' }).$type<string[]>(),
    /** Spend per `capPeriod`; null: no cap. */
    capNanoUsd: integer('cap_nano_usd'),
    capPeriod: text('cap_period', { enum: ['day', 'month', 'total'] })
      .notNull()
      .default('month'),
    requestsPerMinute: integer('requests_per_minute').notNull().default(600),
    /** null: no limit. */
    tokensPerMinute: integer('tokens_per_minute'),
    concurrency: integer('concurrency').notNull().default(100),
    createdAtMs: integer('created_at_ms').notNull(),
    expiresAtMs: integer('expires_at_ms'),
    revokedAtMs: integer('revoked_at_ms'),
    /** Accurate to a minute. */
    lastUsedAtMs: integer('last_used_at_ms'),
    /** Id of the person or management key that made it; null: not known. */
    createdBy: text('created_by'),
    /** Id of the person who took it over when its maker lost the right to make keys; null: no one had to. */
    keptBy: text('kept_by'),
    /** First key of the rotations that led to this one: their spend counts together. null: it is the first. */
    lineageId: text('lineage_id'),
    /** The key that followed it by rotation. A key has one successor at most. */
    successorId: text('successor_id'),
    /** First key of the management key's lineage whose cap it shares; null: it shares none. */
    managerId: text('manager_id'),
  },
  (t) => [index('api_key_by_account').on(t.accountId, t.createdAtMs)],
);

/** A name that an account has given to a model, for its own requests; see domain/model-alias.ts. */
export const modelAlias = sqliteTable(
  'model_alias',
  {
    accountId: text('account_id')
      .notNull()
      .references(() => account.id),
    /** In lower case. */
    name: text('name').notNull(),
    /** The model's own id. */
    modelId: text('model_id').notNull(),
    /** null: what each request asks for. */
    effort: text('effort'),
    /** When it got this model and effort. */
    createdAtMs: integer('created_at_ms').notNull(),
    /** Id of the person or management key that gave it them. */
    createdBy: text('created_by').notNull(),
  },
  (t) => [primaryKey({ columns: [t.accountId, t.name] })],
);
