/** A migration keeps existing rows, and fills the columns and tables that it adds from them. */
import { readdirSync, readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { newId } from '../../worker/domain/ids.ts';

const files = readdirSync('migrations')
  .filter((file) => file.endsWith('.sql'))
  .sort();

/** A database with all migrations before the named one, and a function that runs the rest. */
function before(name: string) {
  const at = files.findIndex((file) => file.includes(name));
  const db = new DatabaseSync(':memory:');
  const run = (names: readonly string[]) => {
    for (const file of names) db.exec(readFileSync(`migrations/${file}`, 'utf8'));
  };
  run(files.slice(0, at));
  return { db, migrate: () => run(files.slice(at)) };
}

const NOON = Date.UTC(2026, 10, 20, 12);

it('keeps every request when the primary key changes, and counts those that are billed, matched by a receipt, and missing one', () => {
  const { db, migrate } = before('one_row_a_request');
  const insert = (table: string, row: Record<string, string | number | null>) => {
    const columns = Object.keys(row);
    db.prepare(`INSERT INTO ${table} (${columns}) VALUES (${columns.map(() => '?')})`).run(
      ...Object.values(row),
    );
  };
  const event = (accountId: string, change: Record<string, string | number | null> = {}) => {
    const row = {
      account_id: accountId,
      request_id: newId('req', NOON),
      key_id: 'key_1',
      model_id: 'm',
      node_id: 'node_a',
      admitted_at_ms: NOON,
      ended_at_ms: NOON + 500,
      state: 'posted',
      ending: 'finished',
      stream: 1,
      prompt_tokens: 3,
      cached_tokens: 1,
      completion_tokens: 5,
      reasoning_tokens: 2,
      price_id: 'p/1',
      charge_nano_usd: 7,
      granted_nano_usd: 4,
      entry_seq: 2,
      ttft_ms: null,
      ...change,
    };
    insert('usage_event', row);
    return row;
  };
  const receipt = (requestId: string, receivedAtMs: number, nodeId = 'node_a') =>
    insert('node_receipt', {
      request_id: requestId,
      node_id: nodeId,
      account_id: 'a',
      received_at_ms: receivedAtMs,
      outcome: 'finished',
      prompt_tokens: 3,
      cached_tokens: 1,
      completion_tokens: 5,
      reasoning_tokens: 2,
      written_off_prompt_tokens: 0,
      written_off_completion_tokens: 0,
      write_off_reason: null,
    });
  const events = [
    ...Array.from({ length: 5 }, () => event('a')),
    event('a', { charge_nano_usd: 0, entry_seq: null, node_id: null }),
    event('b'),
  ];
  const ids = events.map((row) => row.request_id);
  receipt(ids[0]!, NOON + 900);
  receipt(ids[1]!, NOON + 800);
  receipt(ids[2]!, NOON + 800, 'node_b');
  const missing = {
    node_id: 'node_a',
    kind: 'receipt_missing',
    account_id: 'a',
    found_at_ms: 1,
    detail: '{}',
  };
  for (const id of [ids[1]!, ids[3]!]) insert('drift', { request_id: id, ...missing });
  const hour = { node_id: 'node_a', reason: '', prompt_tokens: 6, completion_tokens: 10 };
  const noWriteOff = { written_off_prompt_tokens: 0, written_off_completion_tokens: 0 };
  insert('receipt_hour', { hour_ms: NOON, receipts: 2, ...hour, ...noWriteOff });
  insert('receipt_hour', { hour_ms: NOON - 3_600_000, receipts: 1, ...hour, ...noWriteOff });

  migrate();

  const byId = (a: Record<string, unknown>, b: Record<string, unknown>) =>
    String(a.request_id).localeCompare(String(b.request_id));
  const migrated = db.prepare('SELECT * FROM usage_event').all();
  expect(migrated.map((row) => ({ ...row })).toSorted(byId)).toEqual(events.toSorted(byId));
  expect(db.prepare('SELECT * FROM projection ORDER BY 1').all()).toMatchObject([
    { account_id: 'a', told_seq: 0, billed_requests: 5, witnessed_requests: 2, missed_requests: 1 },
    { account_id: 'b', told_seq: 0, billed_requests: 1, witnessed_requests: 0, missed_requests: 0 },
  ]);
  expect(
    db
      .prepare(
        'SELECT newest_received_at_ms AS r, newest_ended_at_ms AS e FROM receipt_hour ORDER BY hour_ms',
      )
      .all(),
  ).toMatchObject([
    { r: 0, e: 0 },
    { r: NOON + 900, e: NOON + 500 },
  ]);
  const tables = db.prepare("SELECT type, sql FROM sqlite_schema WHERE tbl_name = 'usage_event'").all();
  expect(tables).toMatchObject([
    { type: 'table', sql: expect.stringMatching(/\) STRICT, WITHOUT ROWID$/) },
    { type: 'trigger', sql: expect.stringContaining('usage_event_keeps_all_rows') },
  ]);
});

it('lowers batch prices that are above half of the lowest price of the day, and no other', () => {
  const { db, migrate } = before('batch-half-price');
  const add = (id: string, [hit, miss, output]: number[], change: Record<string, string | number> = {}) => {
    const [model_id, kind] = id.split('/');
    const price = { cache_hit_nano_usd: hit!, cache_miss_nano_usd: miss!, output_nano_usd: output! };
    const tariff = kind === 'batch' ? 'batch' : 'standard';
    const row = { id, model_id: model_id!, tariff, from_ms: 1, ...price, source: 'test', ...change };
    const columns = Object.keys(row);
    db.prepare(`INSERT INTO price (${columns}) VALUES (${columns.map(() => '?')})`).run(
      ...Object.values(row),
    );
  };
  for (const id of ['right', 'odd', 'lowered', 'later'])
    db.exec(`INSERT INTO model (id, name, aliases, model_paths, revision, license, reasoning, context_tokens,
      output_tokens_max, output_tokens_default) VALUES ('${id}', '${id}', '[]', '[]', 'r', 'MIT', 0, 1, 1, 1)`);
  add('right/standard/1', [10, 20, 40]);
  add('right/batch/1', [5, 10, 20]);
  add('odd/standard/1', [11, 21, 41]);
  add('odd/batch/1', [1, 11, 21], { to_ms: 4_102_444_800_000 });
  add('lowered/standard/1', [1, 1, 2]);
  add('lowered/standard/2', [10, 20, 40], { from_ms: 2 });
  add('lowered/batch/1', [9, 9, 9], { from_ms: 1 });
  add('lowered/batch/2', [5, 10, 20], { from_ms: 2 });
  add('later/standard/1', [10, 20, 40]);
  add('later/batch/1', [5, 10, 21], { from_ms: 4_102_444_800_000 });
  migrate();
  const rows = db
    .prepare(`SELECT id, cache_hit_nano_usd AS hit, cache_miss_nano_usd AS miss, output_nano_usd AS output,
    to_ms FROM price WHERE source = 'Half of the lowest price of the day' ORDER BY id`)
    .all();
  expect(rows).toEqual([
    { id: 'deepseek-r1-0528/batch/2', hit: 17, miss: 67, output: 275, to_ms: null },
    { id: 'odd/batch/2', hit: 1, miss: 10, output: 20, to_ms: 4_102_444_800_000 },
  ]);
  const ended = db.prepare("SELECT id FROM price WHERE tariff = 'batch' AND to_ms = from_ms").all();
  expect(ended).toEqual([{ id: 'later/batch/1' }]);
});
