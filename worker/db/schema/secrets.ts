/** Secrets of the installation: the operator API's tokens, sealed webhook secrets, and the edge's keys that nodes hold. */
import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { node } from './pool.ts';

/** A token of the operator API. It is shown once; only its hash is stored. */
export const operatorToken = sqliteTable(
  'operator_token',
  {
    id: text('id').primaryKey(),
    /** Its purpose, in the operator's words; it stands in the audit trail. */
    name: text('name').notNull(),
    /** HMAC-SHA-256 of the token under KEY_PEPPER, base64url. */
    hash: text('hash').notNull().unique(),
    /** Id of the pepper under which `hash` was made. */
    pepperId: text('pepper_id').notNull(),
    lastFour: text('last_four').notNull(),
    /** Scopes of domain/operator-scopes.ts. */
    scopes: text('scopes', { mode: 'json' }).$type<string[]>().notNull(),
    /** Actor that made it: a person's id, or `operator-token`. */
    createdBy: text('created_by').notNull(),
    createdAtMs: integer('created_at_ms').notNull(),
    expiresAtMs: integer('expires_at_ms').notNull(),
    revokedAtMs: integer('revoked_at_ms'),
    /** Accurate to a minute. */
    lastUsedAtMs: integer('last_used_at_ms'),
  },
  (t) => [index('operator_token_by_time').on(t.createdAtMs)],
);

/**
 * The secret of one version of a customer's webhook endpoint, sealed under AUTH_SECRET. A version without a row has the
 * derived secret of notifications/webhook/endpoint-secret.ts.
 */
export const webhookSecret = sqliteTable(
  'webhook_secret',
  {
    endpointId: text('endpoint_id').notNull(),
    version: integer('version').notNull(),
    sealed: text('sealed').notNull(),
    createdAtMs: integer('created_at_ms').notNull(),
  },
  (t) => [primaryKey({ columns: [t.endpointId, t.version] })],
);

/** The edge's public keys that a node's agent holds, as it last reported them. Written only when they change. */
export const nodeEdgeKeys = sqliteTable('node_edge_keys', {
  nodeId: text('node_id')
    .primaryKey()
    .references(() => node.id),
  /** RFC 7638 thumbprints. */
  keyIds: text('key_ids', { mode: 'json' }).$type<string[]>().notNull(),
  reportedAtMs: integer('reported_at_ms').notNull(),
});

/** Keys of the edge that outlive the secret from which they come, sealed under AUTH_SECRET. */
export const sealedKey = sqliteTable('sealed_key', {
  name: text('name').primaryKey(),
  sealed: text('sealed').notNull(),
  createdAtMs: integer('created_at_ms').notNull(),
});
