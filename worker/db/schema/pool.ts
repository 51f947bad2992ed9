/** The GPU pool. */
import { type SQL, sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { NODE_STATES } from '../../domain/node.ts';
import type { Usage } from '../../domain/usage.ts';
import { model } from './catalogue.ts';

/** A registered SGLang server behind its agent. Which nodes are up right now is the Pool's to know. */
export const node = sqliteTable('node', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  modelId: text('model_id')
    .notNull()
    .references(() => model.id),
  hardware: text('hardware').notNull(),
  url: text('url').notNull(),
  /** Ed25519 public key, `x` of its JWK */
  publicKey: text('public_key').notNull(),
  /** share of traffic relative to other nodes: output tokens per second it is expected to reach */
  capacity: integer('capacity').notNull(),
  engineVersion: text('engine_version').notNull(),
  weightVersion: text('weight_version').notNull(),
  /** every writer says it: the default is older than canaries, and SQLite changes none in place */
  state: text('state', { enum: NODE_STATES }).notNull().default('active'),
  enrolledAtMs: integer('enrolled_at_ms').notNull(),
  /** raised with every update, so that the Pool knows which of two copies is the later */
  revision: integer('revision')
    .notNull()
    .default(0)
    .$onUpdate((): SQL => sql`${node.revision} + 1`),
});

/** What an hour of a node costs its operator, from a time on: margins of the past stay what they were. */
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

/** One try of a canary: what the edge saw of it, and once the node's receipt is there, whether both agree. */
export const canary = sqliteTable(
  'canary',
  {
    /** of the last request that was sent */
    requestId: text('request_id').primaryKey(),
    nodeId: text('node_id')
      .notNull()
      .references(() => node.id),
    atMs: integer('at_ms').notNull(),
    /** what the edge counted; null where no whole answer came */
    usage: text('usage', { mode: 'json' }).$type<Usage>(),
    /** what was wrong; null while nothing is */
    fault: text('fault'),
    /** when the receipt said the same as the edge */
    passedAtMs: integer('passed_at_ms'),
  },
  (t) => [index('canary_by_node').on(t.nodeId, t.atMs)],
);

/** What a probe asks: the edge's own stores, or a model from its gateway to an engine. */
export const probe = sqliteTable(
  'probe',
  {
    /** `api`, or a model's id */
    component: text('component').notNull(),
    atMs: integer('at_ms').notNull(),
    ok: integer('ok', { mode: 'boolean' }).notNull(),
    latencyMs: integer('latency_ms').notNull(),
    /** why not, in one word; null where it is ok */
    fault: text('fault'),
  },
  (t) => [primaryKey({ columns: [t.component, t.atMs] })],
);

/** Rollup of `probe` by day: what is left of it when the probes themselves are gone. */
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

export const joinToken = sqliteTable('join_token', {
  id: text('id').primaryKey(),
  nodeName: text('node_name').notNull(),
  modelId: text('model_id')
    .notNull()
    .references(() => model.id),
  hardware: text('hardware').notNull(),
  createdAtMs: integer('created_at_ms').notNull(),
  expiresAtMs: integer('expires_at_ms').notNull(),
  usedAtMs: integer('used_at_ms'),
});

/** What an operator did, and what the pool noticed: append-only. */
export const audit = sqliteTable(
  'audit',
  {
    id: text('id').primaryKey(),
    atMs: integer('at_ms').notNull(),
    /** person id, `node:…`, `pool` or `operator-token` */
    actor: text('actor').notNull(),
    action: text('action').notNull(),
    subject: text('subject').notNull(),
    detail: text('detail', { mode: 'json' }).$type<Record<string, string | number | null>>().notNull(),
    /** whose trail it is a part of, too; null: the operator's alone */
    accountId: text('account_id'),
  },
  (t) => [
    index('audit_by_subject').on(t.subject, t.atMs),
    index('audit_by_time').on(t.atMs),
    index('audit_by_account').on(t.accountId, t.atMs),
  ],
);
