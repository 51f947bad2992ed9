/**
 * Ninety days of ten million requests, written as SQL: two hundred accounts, the largest with about an eighth of
 * them, twelve nodes, the rollups beside them, and receipts, of which one in fifty does not say what was billed.
 */
import { firstIdAt, newId } from '../../worker/domain/ids.ts';
import type { D1Store } from '../simulation/platform/d1.ts';

const HOUR_MS = 3_600_000;
const DAY_HOURS = 24;
const HOURS = 90 * DAY_HOURS;
const ACCOUNTS = 200;
const NODES = 12;
export const REQUESTS = 10_000_000;

/** Id of the account that has the most requests. */
export const LARGEST = 'acct_00000000000000000000000001';
export const KEY_OF_LARGEST = 'key_0000000000000000000000000101';
export const NODE_IDS = Array.from({ length: NODES }, (_, n) => `node_${String(n).padStart(26, '0')}`);

/** The requests of an hour: shares by account fall as 1/n, models seven to three, tokens as a thousand sizes. */
const EVENTS = `
  INSERT INTO usage_event (account_id, request_id, key_id, model_id, node_id, admitted_at_ms, ended_at_ms, state, ending,
    stream, prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, price_id, charge_nano_usd, entry_seq, ttft_ms)
  WITH RECURSIVE
    numbers(i) AS (SELECT CAST(?2 AS INTEGER) UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < ?2 + ?3),
    drawn AS (
      SELECT i, CAST(?1 + (i - ?2) * ${HOUR_MS}.0 / ?3 AS INTEGER) AS at_ms, i * 7919 % 2 AS k, i * 104729 % 1000 AS size,
        CAST(exp((i * 2654435761 % 4294967296) / 4294967296.0 * ln(${ACCOUNTS}.0)) AS INTEGER) AS a
      FROM numbers)
  SELECT printf('acct_%026d', a), request_id(at_ms, i), printf('key_%026d%02d', a, k),
    CASE WHEN size < 700 THEN 'deepseek-r1-0528' ELSE 'deepseek-v3-0324' END, printf('node_%026d', size % ${NODES}), at_ms,
    at_ms + 5000 + size, 'posted', CASE WHEN i % 1000 = 0 THEN 'client_gone' ELSE 'finished' END, i % 2, 1000 + size, size,
    500 + size, 200 + size / 2, CASE WHEN size < 700 THEN 'deepseek-r1-0528/standard/1' ELSE 'deepseek-v3-0324/standard/1' END,
    550000 + size * 140 + (500 + size) * 2190, i + 1, 300 + size
  FROM drawn`;

/** Requests since an instant: of each account, because the key begins with it. */
const SINCE = 'FROM account AS a CROSS JOIN usage_event AS u ON u.account_id = a.id AND u.request_id >= ?2';

const ROLLUP = `
  INSERT INTO usage_hour
  SELECT account_id, ?1, key_id, model_id, count(*), sum(cached_tokens), sum(prompt_tokens - cached_tokens),
    sum(reasoning_tokens), sum(completion_tokens - reasoning_tokens), sum(charge_nano_usd), sum(cached_tokens * 410)
  ${SINCE} GROUP BY 1, 2, 3, 4`;

const NODE_ROLLUP = `
  INSERT INTO node_hour
  SELECT node_id, ?1, count(*), sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), sum(charge_nano_usd), 0
  ${SINCE} GROUP BY 1, 2`;

const RECEIPTS = `
  INSERT INTO node_receipt
  SELECT request_id, node_id, account_id, ended_at_ms, 'aborted', prompt_tokens, cached_tokens, completion_tokens + 3,
    reasoning_tokens, 0, 3, 'after_client_gone'
  FROM usage_event WHERE prompt_tokens % 50 = 0`;

const RECEIPT_ROLLUP = `
  INSERT INTO receipt_hour
  SELECT node_id, hour_ms, '', requests, prompt_tokens, completion_tokens, 0, 0, hour_ms + ${HOUR_MS}, hour_ms FROM node_hour`;

const WATERMARKS = `
  INSERT INTO projection
  SELECT account_id, count(*), count(*), count(*) - 7, 3 FROM usage_event GROUP BY 1`;

/** Fills an empty database up to `nowMs`, in two minutes or so. The last hour is as full as the others. */
export function fill({ db }: D1Store, nowMs: number): void {
  const chance = new Uint8Array(10);
  db.function('request_id', { deterministic: true }, (atMs, i) => {
    new DataView(chance.buffer).setUint32(6, Number(i));
    return newId('req', Number(atMs), chance);
  });
  db.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000');
  const [events, rollup, nodeRollup] = [EVENTS, ROLLUP, NODE_ROLLUP].map((sql) => db.prepare(sql));
  const perHour = Math.ceil(REQUESTS / HOURS);
  const firstMs = nowMs - (nowMs % HOUR_MS) - (HOURS - 1) * HOUR_MS;
  db.exec('BEGIN');
  const account = db.prepare('INSERT INTO account (id, name, created_at_ms) VALUES (?, ?, ?)');
  for (let n = 1; n <= ACCOUNTS; n++)
    account.run(`acct_${String(n).padStart(26, '0')}`, `account ${n}`, firstMs);
  for (let hour = 0; hour < HOURS; hour++) {
    const hourMs = firstMs + hour * HOUR_MS;
    events!.run(hourMs, hour * perHour, perHour);
    rollup!.run(hourMs, firstIdAt('req', hourMs));
    nodeRollup!.run(hourMs, firstIdAt('req', hourMs));
  }
  for (const sql of [RECEIPTS, RECEIPT_ROLLUP, WATERMARKS]) db.exec(sql);
  const node = db.prepare(
    "INSERT INTO node VALUES (?, ?, 'deepseek-r1-0528', 'h800x16', ?, 'key', 64, '0.5', 'w', 'active', ?, 0)",
  );
  for (const id of NODE_IDS) node.run(id, id.slice(-6), `https://${id}.example`, firstMs);
  db.exec('COMMIT');
}
