/** The GPU pool: nodes, their costs, canaries, probes, join tokens and the audit trail. */
import { type SQL, sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { NODE_STATES } from '../../domain/node.ts';
import type { Usage } from '../../domain/usage.ts';
import { model } from './catalogue.ts';

/** A registered SGLang server behind its agent. Which nodes are up right now only the Pool object knows. */
export const node = sqliteTable('node', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  modelId: text('model_id')
    .notNull()
    .references(() => model.id),
  hardware: text('hardware').notNull(),
  url: text('url').notNull(),
  /** Ed25519 public key, `x` of its JWK. */
  publicKey: text('public_key').notNull(),
  /**
   * Weight relative to other nodes when traffic is shared out: the output tokens per second that it is expected to
   * reach.
   */
  capacity: integer('capacity').notNull(),
  engineVersion: text('engine_version').notNull(),
  weightVersion: text('weight_version').notNull(),
  /** Every writer sets it: the default predates canaries, and SQLite cannot change a default in place. */
  state: text('state', { enum: NODE_STATES }).notNull().default('active'),
  enrolledAtMs: integer('enrolled_at_ms').notNull(),
  /** Raised with every update, so that the Pool knows which of two copies is the later one. */
  revision: integer('revision')
    .notNull()
    .default(0)
    .$onUpdate((): SQL => sql`${node.revision} + 1`),
});

/** The cost of a node's hour from a time on; margins of the past keep the cost of their time. */
export const nodeCost = sqliteTable(
  'node_cost',
  {
    nodeId: text('node_id')
      .notNull()
      .references(() => node.id),
    fromMs: integer('from_ms').notNull(),
    hourNanoUsd: integer('hour_nano_usd').notNull(),
  },
  (t) => [primaryKey({ columns: [t.nodeId, t.fromMs] })],
);

/** One canary attempt: the edge's observations and, once the node's receipt has arrived, whether both agree. */
export const canary = sqliteTable(
  'canary',
  {
    /** Id of the last request that was sent. */
    requestId: text('request_id').primaryKey(),
    nodeId: text('node_id')
      .notNull()
      .references(() => node.id),
    atMs: integer('at_ms').notNull(),
    /** The edge's token counts; null when no complete answer came. */
    usage: text('usage', { mode: 'json' }).$type<Usage>(),
    /** The fault found; null while there is none. */
    fault: text('fault'),
    /** When the receipt agreed with the edge. */
    passedAtMs: integer('passed_at_ms'),
  },
  (t) => [index('canary_by_node').on(t.nodeId, t.atMs)],
);

/** Probes: each tests the edge's own stores, or a model from its gateway to an engine. */
export const probe = sqliteTable(
  'probe',
  {
    /** `api`, or a model's id. */
    component: text('component').notNull(),
    atMs: integer('at_ms').notNull(),
    ok: integer('ok', { mode: 'boolean' }).notNull(),
    latencyMs: integer('latency_ms').notNull(),
    /** One word for the failure; null where it is ok. */
    fault: text('fault'),
  },
  (t) => [primaryKey({ columns: [t.component, t.atMs] })],
);

/** Rollup of `probe` by day, which stays when the probes themselves are deleted. */
export const probeDay = sqliteTable(
  'probe_day',
  {
    component: text('component').notNull(),
    dayMs: integer('day_ms').notNull(),
    probes: integer('probes').notNull(),
    failures: integer('failures').notNull(),
  },
  (t) => [primaryKey({ columns: [t.component, t.dayMs] })],
);

export const joinToken = sqliteTable(
  'join_token',
  {
    id: text('id').primaryKey(),
    nodeName: text('node_name').notNull(),
    modelId: text('model_id')
      .notNull()
      .references(() => model.id),
    hardware: text('hardware').notNull(),
    createdAtMs: integer('created_at_ms').notNull(),
    expiresAtMs: integer('expires_at_ms').notNull(),
    usedAtMs: integer('used_at_ms'),
  },
  (t) => [index('join_token_by_expiry').on(t.expiresAtMs)],
);

/** The audit trail: what an operator did and what the pool noticed. Append-only. */
export const audit = sqliteTable(
  'audit',
  {
    id: text('id').primaryKey(),
    atMs: integer('at_ms').notNull(),
    /** Person id, `node:…`, `pool` or `operator-token`. */
    actor: text('actor').notNull(),
    action: text('action').notNull(),
    subject: text('subject').notNull(),
    detail: text('detail', { mode: 'json' }).$type<Record<string, string | number | null>>().notNull(),
    /** The account whose own trail also shows the row; null: only operators see it. */
    accountId: text('account_id'),
  },
  (t) => [
    index('audit_by_subject').on(t.subject, t.atMs),
    index('audit_by_time').on(t.atMs),
    index('audit_by_account').on(t.accountId, t.atMs),
    index('audit_with_detail').on(t.atMs).where(sql`detail <> '{}'`),
  ],
);
