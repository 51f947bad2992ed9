/** What is stored goes at the end of its time: in bounded slices, all of it in the end, and nothing before. */
import { env as bindings } from 'cloudflare:workers';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { partName } from '../../../worker/batches/file-parts.ts';
import { closeAccount } from '../../../worker/db/account-end.ts';
import { RETENTION_RULES, SLICE_ROWS } from '../../../worker/db/retention.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { RETENTION_DAYS, type RetainedKind, retentionMs } from '../../../worker/domain/retention.ts';
import type { Env } from '../../../worker/env.ts';
import worker from '../../../worker/index.ts';
import { prune } from '../../../worker/retention/prune.ts';
import { db, newAccount } from '../notifications/fixtures.ts';

const env = bindings as unknown as Env;
const NOW = Date.UTC(2030, 0, 15);
const DAY_MS = 86_400_000;

const run = (sql: string, ...values: unknown[]) =>
  env.DB.prepare(sql)
    .bind(...values)
    .run();
const count = async (table: string, where = '1') =>
  (await env.DB.prepare(`SELECT count(*) AS n FROM ${table} WHERE ${where}`).first<number>('n'))!;

let accountId: string;
let personId: string;
beforeEach(async () => {
  accountId = await newAccount();
  personId = (await env.DB.prepare('SELECT person_id FROM member WHERE account_id = ?')
    .bind(accountId)
    .first<string>('person_id'))!;
});
afterEach(() => vi.restoreAllMocks());

interface Table {
  readonly kind: RetainedKind;
  readonly table: string;
  /** The rows that are still there; default: all. */
  readonly left?: string;
  /** Inserts `?1` rows of another table that the rows refer to. */
  readonly needs?: (ids: string) => string;
  /** Inserts `?1` rows; each gets the time `?2` and an id from its number `i`. */
  readonly insert: (ids: string) => string;
}

const MANY = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)';

/** Every table whose rows have a time, with rows as the code writes them. */
const TABLES: readonly Table[] = [
  {
    kind: 'invitation',
    table: 'invitation',
    insert: (
      ids,
    ) => `INSERT INTO invitation (id, account_id, email, role, token_hash, invited_by, created_at_ms, expires_at_ms)
      ${MANY} SELECT '${ids}' || i, '${accountId}', 'x@example.com', 'developer', '${ids}' || i, '${personId}', 1, ?2 FROM n`,
  },
  {
    kind: 'sign_in',
    table: 'person_session',
    insert: (ids) => `INSERT INTO person_session (id, token, person_id, expires_at, created_at, updated_at)
      ${MANY} SELECT '${ids}' || i, '${ids}' || i, '${personId}', ?2, 1, 1 FROM n`,
  },
  {
    kind: 'sign_in',
    table: 'person_verification',
    insert: (
      ids,
    ) => `INSERT INTO person_verification (id, identifier, value, expires_at, created_at, updated_at)
      ${MANY} SELECT '${ids}' || i, 'x', 'y', ?2, 1, 1 FROM n`,
  },
  {
    kind: 'notice',
    table: 'notice',
    insert: (ids) => `INSERT INTO notice (id, account_id, at_ms, kind, facts)
      ${MANY} SELECT '${ids}' || i, '${accountId}', ?2, 'balance.low', '{}' FROM n`,
  },
  {
    kind: 'notice',
    table: 'webhook_endpoint',
    insert: (ids) => `INSERT INTO webhook_endpoint (id, account_id, url, created_at_ms, removed_at_ms)
      ${MANY} SELECT '${ids}' || i, '${accountId}', 'https://hooks.example.com', 1, ?2 FROM n`,
  },
  {
    kind: 'payment_event',
    table: 'payment_event',
    insert: (ids) => `INSERT INTO payment_event (provider, event_id, order_id, received_at_ms)
      ${MANY} SELECT 'sandbox', '${ids}' || i, 'order', ?2 FROM n`,
  },
  {
    kind: 'unpaid_order',
    table: 'payment_order',
    insert: (
      ids,
    ) => `INSERT INTO payment_order (id, account_id, provider, amount_nano_usd, currency, state, created_at_ms)
      ${MANY} SELECT '${ids}' || i, '${accountId}', 'sandbox', 1, 'usd', 'open', ?2 FROM n`,
  },
  {
    kind: 'audit_detail',
    table: 'audit',
    left: "detail <> '{}'",
    insert: (ids) => `INSERT INTO audit (id, at_ms, actor, action, subject, detail)
      ${MANY} SELECT '${ids}' || i, ?2, 'person', 'member.invited', 'inv', '{"email":"x@example.com"}' FROM n`,
  },
  {
    kind: 'invoice_buyer',
    table: 'invoice',
    left: 'buyer IS NOT NULL',
    needs: (
      ids,
    ) => `INSERT INTO payment_order (id, account_id, provider, amount_nano_usd, currency, state, created_at_ms)
      ${MANY} SELECT 'paid_${ids}' || i, '${accountId}', 'sandbox', 1, 'usd', 'paid', 1 FROM n`,
    insert: (ids) => `INSERT INTO invoice (number, order_id, account_id, issued_at_ms, amount_nano_usd, buyer)
      ${MANY} SELECT ${ids === 'old_' ? 10_000 : 20_000} + i, 'paid_${ids}' || i, '${accountId}', ?2, 1, '{"legalName":"X"}' FROM n`,
  },
  {
    kind: 'join_token',
    table: 'join_token',
    insert: (ids) => `INSERT INTO join_token (id, node_name, model_id, hardware, created_at_ms, expires_at_ms)
      ${MANY} SELECT '${ids}' || i, 'n', 'deepseek-r1-0528', 'h', 1, ?2 FROM n`,
  },
];

describe.each(TABLES)('$table', ({ kind, table, left, needs, insert }) => {
  it('loses a bounded number of old rows a run, all in the end, and no younger one', async () => {
    const before = await count(table, left);
    const old = 2 * SLICE_ROWS + 1;
    if (needs) await run(needs('old_'), old);
    if (needs) await run(needs('young_'), 3);
    await run(insert('old_'), old, NOW - retentionMs(kind) - 1);
    await run(insert('young_'), 3, NOW - retentionMs(kind));
    const remaining = async () => (await count(table, left)) - before - 3;
    expect(await remaining()).toBe(old);
    await prune(env, NOW);
    expect(await remaining()).toBe(old - SLICE_ROWS);
    await prune(env, NOW);
    await prune(env, NOW);
    expect(await remaining()).toBe(0);
    await prune(env, NOW);
    expect(await remaining()).toBe(0);
  });
});

it('every rule finds its rows by an index', async () => {
  for (const { sql } of RETENTION_RULES) {
    const { results } = await env.DB.prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .bind(1, 1)
      .all<{ detail: string }>();
    const scans = results.filter(({ detail }) => /^SCAN (?!n$)/.test(detail)).map(({ detail }) => detail);
    expect(scans, sql).toEqual([]);
  }
});

it('the scheduled run prunes', async () => {
  await run(TABLES[1]!.insert('old_'), 1, 1);
  vi.spyOn(console, 'error').mockImplementation(() => {});
  const controller = { scheduledTime: NOW, cron: '* * * * *' } as ScheduledController;
  await worker.scheduled(controller, env);
  expect(await count('person_session', "id LIKE 'old_%'")).toBe(0);
});

it('a notice of a model’s end stays while the end can be withdrawn, and until a withdrawal is told', async () => {
  const model = 'deepseek-r1-zero';
  const facts = JSON.stringify({ kind: 'model.ending', modelId: model });
  await run(
    `INSERT INTO notice (id, account_id, at_ms, kind, facts) VALUES ('note_end', ?, 1, 'model.ending', '${facts}')`,
    accountId,
  );
  const isKept = async () => {
    await prune(env, NOW);
    return (await count('notice', "id = 'note_end'")) === 1;
  };
  const end = (atMs: number | null) => run('UPDATE model SET ends_at_ms = ? WHERE id = ?', atMs, model);
  await end(NOW + 1);
  expect(await isKept()).toBe(true);
  await end(null);
  await run("INSERT INTO model_end_run VALUES (?, ?, 'withdrawn', '', 0, ?)", model, NOW, NOW);
  expect(await isKept()).toBe(true);
  await run('UPDATE model_end_run SET done = 1 WHERE model_id = ?', model);
  expect(await isKept()).toBe(false);
});

it('deliveries go with their notice', async () => {
  await run(
    "INSERT INTO notice (id, account_id, at_ms, kind, facts) VALUES ('note_1', ?, 1, 'balance.low', '{}')",
    accountId,
  );
  await run(
    "INSERT INTO notice_delivery (id, notice_id, account_id, channel, target, state) VALUES ('dlv_1', 'note_1', ?, 'email', 'x@example.com', 'failed')",
    accountId,
  );
  await prune(env, NOW);
  expect(await count('notice_delivery', "id = 'dlv_1'")).toBe(0);
  expect(await count('notice', "id = 'note_1'")).toBe(0);
});

it('orders that were paid, or that a refund or a held payment refers to, stay and hold no other order back', async () => {
  const insert = (id: string, state: string) =>
    run(
      "INSERT INTO payment_order (id, account_id, provider, amount_nano_usd, currency, state, created_at_ms) VALUES (?, ?, 'sandbox', 1, 'usd', ?, 1)",
      id,
      accountId,
      state,
    );
  await insert('ord_paid', 'paid');
  await insert('ord_reversed', 'closed');
  await insert('ord_held', 'open');
  await insert('ord_unpaid', 'open');
  await run(
    "INSERT INTO payment_reversal (order_id, source, amount_nano_usd, returned, updated_at_ms) VALUES ('ord_reversed', 's', 1, 0, 1)",
  );
  await run(
    "INSERT INTO payment_held (order_id, kind, source, reason, amount_cents, currency, received_at_ms) VALUES ('ord_held', 'paid', '', 'amount_mismatch', 1, 'USD', 1)",
  );
  await prune(env, NOW);
  expect(await count('payment_order', "id IN ('ord_paid', 'ord_reversed', 'ord_held')")).toBe(3);
  expect(await count('payment_order', "id = 'ord_unpaid'")).toBe(0);
});

it('of an audit row only the details go: who did what, and when, cannot be changed', async () => {
  await run(TABLES.find(({ table }) => table === 'audit')!.insert('audit_'), 1, 1);
  await prune(env, NOW);
  const row = await env.DB.prepare("SELECT * FROM audit WHERE id = 'audit_1'").first();
  expect(row).toMatchObject({
    at_ms: 1,
    actor: 'person',
    action: 'member.invited',
    subject: 'inv',
    detail: '{}',
  });
  for (const change of [
    "actor = 'x'",
    'at_ms = 2',
    'detail = \'{"a":1}\'',
    "detail = '{}', action = 'x'",
    "account_id = 'x'",
  ])
    await expect(run(`UPDATE audit SET ${change} WHERE id = 'audit_1'`)).rejects.toThrow(/never changed/);
  await expect(run("DELETE FROM audit WHERE id = 'audit_1'")).rejects.toThrow(/never shortened/);
});

describe('expired files', () => {
  const addFile = async (id: string, expiresAtMs: number) => {
    await env.FILES.put(partName(id, 0), 'x');
    await run(
      "INSERT INTO file (id, account_id, name, purpose, bytes, parts, created_at_ms, expires_at_ms) VALUES (?, ?, 'f', 'batch', 1, 1, 1, ?)",
      id,
      accountId,
      expiresAtMs,
    );
  };

  it('go with their content, others stay', async () => {
    const [old, young] = [newId('file', NOW), newId('file', NOW)];
    await addFile(old, NOW - 1);
    await addFile(young, NOW);
    await prune(env, NOW);
    expect(await count('file', `id = '${old}'`)).toBe(0);
    expect(await env.FILES.head(partName(old, 0))).toBeNull();
    expect(await count('file', `id = '${young}'`)).toBe(1);
    expect(await env.FILES.head(partName(young, 0))).not.toBeNull();
  });
});

it('one step that fails keeps none of the others from its work', async () => {
  const logged = vi.spyOn(console, 'error').mockImplementation(() => {});
  await run("CREATE TRIGGER fails BEFORE DELETE ON invitation BEGIN SELECT RAISE(ABORT, 'no'); END");
  await run(TABLES[0]!.insert('stuck_'), 1, 1);
  await run(TABLES[1]!.insert('goes_'), 1, 1);
  await prune(env, NOW);
  expect(await count('person_session', "id LIKE 'goes_%'")).toBe(0);
  expect(logged).toHaveBeenCalledOnce();
  await run('DROP TRIGGER fails');
});

it('a closed account that still has its name is erased', async () => {
  const entry = {
    atMs: NOW,
    actor: personId,
    action: 'account.closed',
    subject: accountId,
    detail: {},
    accountId,
  };
  await closeAccount(db, { accountId, nowMs: NOW, entry });
  expect(await count('account', `id = '${accountId}' AND name <> id`)).toBe(1);
  await prune(env, NOW);
  expect(await count('account', `id = '${accountId}' AND name = id`)).toBe(1);
  expect(await count('member', `account_id = '${accountId}'`)).toBe(0);
});

it('every kind of data has a time that a person can plan with', () => {
  for (const days of Object.values(RETENTION_DAYS)) expect(days * DAY_MS).toBeGreaterThanOrEqual(DAY_MS);
});
