/** The queries of the portal's pages over ten million requests and their rollups: each takes SQLite at most 50 ms. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { nextDueAccount } from '../../worker/db/archive.ts';
import { type Database, database } from '../../worker/db/client.ts';
import { disagreementOf, listAccountDrift, listAnomalies, spendOf } from '../../worker/db/customers.ts';
import { countedTokensSince, newestReceipts, waitingReceipts } from '../../worker/db/drift.ts';
import { listMarginNodes, listNodeBuckets } from '../../worker/db/margin.ts';
import {
  accountOfRequest,
  type EntryRequests,
  findRequest,
  listRequests,
  receiptsOf,
  wasReceiptReportedMissing,
} from '../../worker/db/requests.ts';
import { chargedSince, firstRequestAtMs, listRecentRequests, listUsage } from '../../worker/db/usage.ts';
import { bucketsQuery } from '../../worker/db/usage-buckets.ts';
import { bucketsOf, DAY_MS, HOUR_MS, PERIODS } from '../../worker/portal/usage/usage-period.ts';
import { D1Binding, D1Store } from '../simulation/platform/d1.ts';
import { fill, KEY_OF_LARGEST, LARGEST, NODE_IDS, REQUESTS } from './ten-million.ts';

const QUERY_MS_MAX = 50;
/** Processor time of this thread is compared, and the least of several, so that other processes do not count. */
const TIMES = 5;
const MIGRATIONS = join(import.meta.dirname, '../../migrations');

const nowMs = Date.now();
let folder: string;
let store: D1Store;
let db: Database;
let requestId: string;
let entry: EntryRequests;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tollgate-scale-'));
  const migrations = readdirSync(MIGRATIONS)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => readFileSync(join(MIGRATIONS, name), 'utf8'));
  store = new D1Store(migrations, join(folder, 'd1.sqlite'));
  fill(store, nowMs);
  const send = async <T>(_life: unknown, _what: string, carryOut: () => T) => carryOut();
  db = database({ DB: new D1Binding(store, 0 as never, send) as unknown as D1Database });
  const newest = store.all(
    'SELECT request_id, entry_seq FROM usage_event WHERE account_id = ? ORDER BY request_id DESC LIMIT 500 OFFSET 1000',
    [LARGEST],
  );
  const [last, first] = [newest.results[0]!, newest.results.at(-1)!];
  requestId = String(last.request_id);
  entry = { seq: Number(last.entry_seq), first: String(first.request_id), last: requestId };
});
afterAll(() => {
  store?.db.close();
  rmSync(folder, { recursive: true, force: true });
});

it('the tables hold ten million requests, and rollups that count each', () => {
  const [events] = store.all('SELECT count(*) AS n FROM usage_event', []).results;
  const [hours] = store.all('SELECT sum(requests) AS n FROM usage_hour', []).results;
  expect(events!.n).toBeGreaterThanOrEqual(REQUESTS);
  expect(hours).toEqual(events);
});

const requests = { fromMs: nowMs - 30 * DAY_MS, before: null, entry: null };
const ofAny = { keyId: null, modelId: null, ending: null };
const ofLargest = { accountId: LARGEST, keyId: null, modelId: null };
const lastHour = { fromMs: nowMs - HOUR_MS, toMs: nowMs, nowMs, byKey: true, byModel: true, after: null };

const QUERIES: readonly [page: string, ask: () => Promise<unknown>][] = [
  ...PERIODS.map((period): [string, () => Promise<unknown>] => [
    `usage, ${period}`,
    () => listUsage(db, { ...ofLargest, ...bucketsOf(period, nowMs) }),
  ]),
  [
    'usage of a key, 30 days',
    () => listUsage(db, { ...ofLargest, keyId: KEY_OF_LARGEST, ...bucketsOf('30d', nowMs) }),
  ],
  ['usage, latest requests', () => listRecentRequests(db, { accountId: LARGEST, limit: 20 })],
  [
    'usage API, minutes',
    () => bucketsQuery(db, { ...ofLargest, ...lastHour, width: 'minute', limit: 1_000 }),
  ],
  [
    'usage API, hours of a month',
    () =>
      bucketsQuery(db, {
        ...ofLargest,
        ...lastHour,
        fromMs: nowMs - 30 * DAY_MS,
        width: 'hour',
        limit: 1_000,
      }),
  ],
  ['start, first request', () => firstRequestAtMs(db, LARGEST)],
  ['billing, pace', () => chargedSince(db, LARGEST, nowMs - 7 * DAY_MS)],
  ['requests', () => listRequests(db, { accountId: LARGEST, limit: 50, ...requests, ...ofAny })],
  [
    'requests that few are like',
    () => listRequests(db, { accountId: LARGEST, limit: 50, ...requests, ...ofAny, ending: 'client_gone' }),
  ],
  [
    'requests of an entry',
    () => listRequests(db, { accountId: LARGEST, limit: 50, ...requests, ...ofAny, fromMs: 0, entry }),
  ],
  ['request, by its id alone', () => accountOfRequest(db, requestId)],
  ['request, whether it was missed', () => wasReceiptReportedMissing(db, requestId)],
  ['request', () => findRequest(db, { accountId: LARGEST, requestId })],
  ['request, receipts', () => receiptsOf(db, { accountId: LARGEST, requestId })],
  ['customers, anomalies', () => listAnomalies(db, { nowMs, limit: 50 })],
  ['customer, spend', () => spendOf(db, LARGEST, nowMs)],
  ['customer, findings', () => listAccountDrift(db, LARGEST, 50)],
  ['customer, disagreement', () => disagreementOf(db, LARGEST)],
  [
    'margin, nodes',
    () => listMarginNodes(db, { fromMs: nowMs - 30 * DAY_MS, nodeId: null, limit: 25, offset: 0 }),
  ],
  [
    'margin, work',
    () => listNodeBuckets(db, { nodeIds: NODE_IDS, fromMs: nowMs - 30 * DAY_MS, bucketMs: DAY_MS }),
  ],
  [
    'archive, whether anything is due',
    () => nextDueAccount(db, { after: '', keptFromMs: nowMs - 90 * DAY_MS }),
  ],
  ['reconciliation, counted', () => db.all(countedTokensSince(nowMs - DAY_MS))],
  ['reconciliation, newest receipts', () => db.all(newestReceipts())],
  ['reconciliation, waiting', () => db.get(waitingReceipts())],
];

it.each(QUERIES)('the query of "%s" takes at most 50 ms of processor time', async (_, ask) => {
  const tookMs: number[] = [];
  for (let time = 0; time < TIMES; time++) {
    const started = process.threadCpuUsage();
    await ask();
    const { user, system } = process.threadCpuUsage(started);
    tookMs.push((user + system) / 1_000);
  }
  expect(Math.min(...tookMs)).toBeLessThanOrEqual(QUERY_MS_MAX);
});
