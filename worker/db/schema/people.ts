/** People: better-auth's five tables under the project's names. Its time columns are Dates. */
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

export const person = sqliteTable('person', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  email: text('email').notNull().unique(),
  emailVerified: integer('email_verified', { mode: 'boolean' }).notNull().default(false),
  image: text('image'),
  /** An operator sees the pool and margin console. */
  role: text('role', { enum: ['customer', 'operator'] })
    .notNull()
    .default('customer'),
  /** The language of e-mails to them; null: they have not chosen one. */
  locale: text('locale'),
  twoFactorEnabled: integer('two_factor_enabled', { mode: 'boolean' }).notNull().default(false),
  createdAt: integer('created_at', { mode: 'timestamp_ms' }).notNull(),
  updatedAt: integer('updated_at', { mode: 'timestamp_ms' }).notNull(),
});

export const personSession = sqliteTable(
  'person_session',
  {
    id: text('id').primaryKey(),
    token: text('token').notNull().unique(),
    userId: text('person_id')
      .notNull()
      .references(() => person.id),
    ipAddress: text('ip_address'),
    userAgent: text('user_agent'),
    expiresAt: integer('expires_at', { mode: 'timestamp_ms' }).notNull(),
    createdAt: integer('created_at', { mode: 'timestamp_ms' }).notNull(),
    updatedAt: integer('updated_at', { mode: 'timestamp_ms' }).notNull(),
  },
  (t) => [index('person_session_by_person').on(t.userId), index('person_session_by_expiry').on(t.expiresAt)],
);

/** A person's credential for sign-in: a password hash or an OAuth identity. */
export const personCredential = sqliteTable(
  'person_credential',
  {
    id: text('id').primaryKey(),
    accountId: text('subject').notNull(),
    providerId: text('provider').notNull(),
    userId: text('person_id')
      .notNull()
      .references(() => person.id),
    accessToken: text('access_token'),
    refreshToken: text('refresh_token'),
    idToken: text('id_token'),
    accessTokenExpiresAt: integer('access_token_expires_at', { mode: 'timestamp_ms' }),
    refreshTokenExpiresAt: integer('refresh_token_expires_at', { mode: 'timestamp_ms' }),
    scope: text('scope'),
    password: text('password'),
    createdAt: integer('created_at', { mode: 'timestamp_ms' }).notNull(),
    updatedAt: integer('updated_at', { mode: 'timestamp_ms' }).notNull(),
  },
  (t) => [index('person_credential_by_person').on(t.userId)],
);

export const personVerification = sqliteTable(
  'person_verification',
  {
    id: text('id').primaryKey(),
    identifier: text('identifier').notNull(),
    value: text('value').notNull(),
    expiresAt: integer('expires_at', { mode: 'timestamp_ms' }).notNull(),
    createdAt: integer('created_at', { mode: 'timestamp_ms' }).notNull(),
    updatedAt: integer('updated_at', { mode: 'timestamp_ms' }).notNull(),
  },
  (t) => [index('person_verification_by_expiry').on(t.expiresAt)],
);

/** A person's second factor: a TOTP secret, encrypted by better-auth, and the hashes of one-time backup codes. */
export const personTwoFactor = sqliteTable(
  'person_two_factor',
  {
    id: text('id').primaryKey(),
    secret: text('secret').notNull(),
    backupCodes: text('backup_codes').notNull(),
    userId: text('person_id')
      .notNull()
      .references(() => person.id),
    /** false: set-up has begun, but no code has been verified yet. */
    verified: integer('verified', { mode: 'boolean' }).notNull().default(true),
    failedVerificationCount: integer('failed_verification_count').notNull().default(0),
    lockedUntil: integer('locked_until', { mode: 'timestamp_ms' }),
    /** The time step (30 s since 1970) of the last accepted code, which no code of the same or an earlier step follows. */
    lastUsedStep: integer('last_used_step'),
  },
  (t) => [index('person_two_factor_by_person').on(t.userId)],
);
