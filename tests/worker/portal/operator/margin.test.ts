/** The operator's page of margins: sums by bucket and node, dated costs, the planner, and the query plans for a large pool. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { database } from '../../../../worker/db/client.ts';
import { listMarginNodes, listNodeBuckets } from '../../../../worker/db/margin.ts';
import { newId } from '../../../../worker/domain/ids.ts';
import { formatUsd, nanoUsd, usd } from '../../../../worker/domain/money.ts';
import { MESSAGES } from '../../../../worker/i18n/locale.ts';
import { auditOf, env } from '../../fleet/fixtures.ts';
import { Browser } from '../browser.ts';
import { operatorBrowser, textOf } from './console.ts';

const PATH = '/operator/margin';
const HOUR = 3_600_000;
const names = MESSAGES.en.margin;
const d1 = (text: string, ...values: unknown[]) =>
  env.DB.prepare(text)
    .bind(...values)
    .run();
const hourNow = () => Math.floor(Date.now() / HOUR) * HOUR;

async function newNode(
  name: string,
  { hardware = '8xh800-pair', ageMs = 40 * 24 * HOUR }: { hardware?: string; ageMs?: number } = {},
): Promise<string> {
  const id = newId('node', Date.now());
  await d1(
    `INSERT INTO node (id, name, model_id, hardware, url, public_key, capacity, engine_version, weight_version, state,
       enrolled_at_ms, revision) VALUES (?, ?, 'deepseek-r1-0528', ?, 'https://n.example', 'k', 622, '1', '1', 'active', ?, 0)`,
    id,
    name,
    hardware,
    Date.now() - ageMs,
  );
  return id;
}

function addNodeHour(nodeId: string, hourMs: number, [tokens, charge, granted]: [number, number, number]) {
  return d1(
    'INSERT INTO node_hour VALUES (?, ?, 3, 1000, 500, ?, ?, ?)',
    nodeId,
    hourMs,
    tokens,
    charge,
    granted,
  );
}

function addNodeCost(nodeId: string, fromMs: number, hourNanoUsd: number) {
  return d1('INSERT INTO node_cost VALUES (?, ?, ?)', nodeId, fromMs, hourNanoUsd);
}

/** The rows of a CSV as objects; no field here has a comma in it. */
async function csv(browser: Browser, query = ''): Promise<Record<string, string>[]> {
  const [head = '', ...lines] = (await (await browser.get(`${PATH}.csv${query}`)).text())
    .trim()
    .split('\r\n');
  const columns = head.split(',');
  return lines.map((line) => Object.fromEntries(line.split(',').map((value, at) => [columns[at]!, value])));
}

beforeEach(async () => {
  vi.useRealTimers();
  for (const table of ['node_cost', 'canary', 'node', 'node_hour', 'receipt_hour'])
    await d1(`DELETE FROM ${table}`);
});

describe('the margins', () => {
  it('are for operators only', async () => {
    const browser = new Browser();
    await browser.signUp();
    for (const path of [PATH, `${PATH}.csv`]) expect((await browser.get(path)).status).toBe(404);
    const nodeId = await newNode('one');
    expect((await browser.post(PATH, { node: nodeId, gpuHour: '2' })).status).toBe(404);
    expect((await new Browser().post(PATH, { node: nodeId, gpuHour: '2' })).status).toBe(404);
    expect(await d1('SELECT * FROM node_cost')).toMatchObject({ results: [] });
  });

  it('explain themselves while there is no node', async () => {
    const text = await textOf((await operatorBrowser()).get(PATH));
    expect(text).toContain(names.emptyTitle);
    expect(text).toContain(names.planTitle);
  });

  it('are charges minus granted credit minus cost, and the total is the sum of the rows', async () => {
    // the clock stands still, because the cost of the current hour grows with every millisecond
    vi.useFakeTimers({ toFake: ['Date'] });
    const console = await operatorBrowser();
    const [a, b] = [await newNode('alpha'), await newNode('beta', { hardware: '8xmi300x' })];
    await addNodeCost(a, 0, usd(32));
    await addNodeCost(b, 0, usd(8));
    await addNodeHour(a, hourNow() - 2 * HOUR, [1_119_600, usd(40), usd(4)]);
    await addNodeHour(a, hourNow() - 3 * HOUR, [2_000, 5_000_000_123, 0]);
    await addNodeHour(b, hourNow() - 2 * HOUR, [1_000, usd(9), usd(9)]);
    await d1(
      "INSERT INTO receipt_hour VALUES (?, ?, 'voided', 1, 9, 9, 30, 4, 0, 0)",
      a,
      hourNow() - 2 * HOUR,
    );

    const rows = await csv(console);
    const found = rows.find((row) => row.node_id === a && Date.parse(row.start!) === hourNow() - 2 * HOUR);
    expect(found).toMatchObject({
      revenue_usd: '40',
      granted_usd: '4',
      cost_usd: '32',
      margin_usd: '4',
      margin_per_gpu_hour_usd: '0.25',
      output_tokens_per_second: '311',
      idle: '0.5',
      written_off_tokens: '34',
      gpus: '16',
    });
    const loss = rows.find((row) => row.node_id === b && Date.parse(row.start!) === hourNow() - 2 * HOUR);
    // a negative number gets no apostrophe as text that starts a formula would
    expect(loss).toMatchObject({ margin_usd: '-8', break_even_tokens_per_second: '' });

    const html = await (await console.get(PATH)).text();
    const sum = (name: string) => rows.reduce((total, row) => total + Math.round(Number(row[name]) * 1e9), 0);
    const feet = html.match(/<tfoot>.*?<\/tfoot>/gs)!;
    expect(feet).toHaveLength(2);
    for (const foot of feet) {
      const cells = [...foot.matchAll(/<td class="num">(.*?)<\/td>/g)].map(([, text]) =>
        text!.replaceAll(',', ''),
      );
      const exact = (nano: number) => (nano === 0 ? '0' : (nano / 1e9).toFixed(9));
      expect(cells.slice(0, 2)).toEqual([exact(sum('revenue_usd')), exact(sum('granted_usd'))]);
      expect(Number(cells[2])).toBeCloseTo(sum('cost_usd') / 1e9, 6);
      expect(Number(cells[3])).toBeCloseTo(sum('margin_usd') / 1e9, 6);
    }
    expect(html).toContain(formatUsd(nanoUsd(usd(54) + 123)));
    expect(html).not.toMatch(/<script|\sstyle=|undefined|NaN/);
  });

  it('are unknown without a cost, because no cost is assumed', async () => {
    const console = await operatorBrowser();
    const nodeId = await newNode('alpha');
    await addNodeHour(nodeId, hourNow() - HOUR, [1_000, usd(40), 0]);
    expect(await textOf(console.get(PATH))).toContain(names.noCost);
    for (const row of await csv(console)) expect([row.cost_usd, row.margin_usd]).toEqual(['', '']);
    await addNodeCost(nodeId, hourNow() - HOUR / 2, usd(1));
    const partly = (await csv(console)).find((row) => Date.parse(row.start!) === hourNow() - HOUR);
    expect(partly).toMatchObject({ cost_usd: '0.5', margin_usd: '' });
  });

  it('can be shown for one node, by days, and in French', async () => {
    const console = await operatorBrowser('fr');
    const [a] = [await newNode('alpha'), await newNode('beta', { ageMs: 2 * HOUR })];
    expect(await textOf(console.get(`${PATH}?node=${a}&period=7d`))).toContain(
      MESSAGES.fr.margin.bucketTitle.day,
    );
    const rows = await csv(console, `?period=30d&node=${a}`);
    expect([rows.length, new Set(rows.map(({ node }) => node))]).toEqual([30, new Set(['alpha'])]);
    expect((await csv(console, '?period=30d')).length).toBeLessThanOrEqual(32);
    expect((await console.get(`${PATH}?node=node_x`)).status).toBe(404);
  });
});

describe('the cost of a node', () => {
  it('is set per GPU from now on, is audited, and leaves the past unchanged', async () => {
    const console = await operatorBrowser();
    const nodeId = await newNode('alpha');
    await addNodeCost(nodeId, 0, usd(16));
    const beforeMs = Date.now();
    const text = await textOf(console.postAndFollow(PATH, { node: nodeId, gpuHour: '2.5' }));
    expect(text).toContain(names.costSaved('alpha', '$40.00'));
    const { results } = await d1('SELECT * FROM node_cost ORDER BY from_ms');
    expect(results).toMatchObject([
      { node_id: nodeId, from_ms: 0, hour_nano_usd: usd(16) },
      { node_id: nodeId, hour_nano_usd: usd(40) },
    ]);
    expect((results[1] as { from_ms: number }).from_ms).toBeGreaterThanOrEqual(beforeMs);
    const [row] = await auditOf(nodeId);
    expect(row).toMatchObject({ action: 'node.cost_set' });
    expect(JSON.parse(row!.detail)).toEqual({ name: 'alpha', usd_per_gpu_hour: '2.50', gpus: 16 });
  });

  it('keeps invalid input, and can be set only for existing nodes', async () => {
    const console = await operatorBrowser();
    const nodeId = await newNode('alpha');
    const invalid = await console.post(PATH, { node: nodeId, gpuHour: 'a lot' });
    expect([invalid.status, await invalid.text()]).toEqual([422, expect.stringContaining('value="a lot"')]);
    expect((await console.post(PATH, { node: newId('node', Date.now()), gpuHour: '2' })).status).toBe(422);
    await d1("UPDATE node SET state = 'removed' WHERE id = ?", nodeId);
    expect((await console.post(PATH, { node: nodeId, gpuHour: '2' })).status).toBe(422);
    expect(await d1('SELECT * FROM node_cost')).toMatchObject({ results: [] });
  });
});

describe('a node that was removed', () => {
  async function removed(name: string, removedAtMs: number): Promise<void> {
    const nodeId = await newNode(name);
    await addNodeCost(nodeId, 0, usd(16));
    await d1("UPDATE node SET state = 'removed' WHERE id = ?", nodeId);
    const auditId = newId('audit', removedAtMs);
    await d1(
      "INSERT INTO audit VALUES (?, ?, 'someone', 'node.removed', ?, '{}', NULL)",
      auditId,
      removedAtMs,
      nodeId,
    );
  }

  it('costs nothing from then on, and is not listed afterwards', async () => {
    const console = await operatorBrowser();
    await removed('alpha', hourNow() - 5 * HOUR + HOUR / 4);
    await removed('beta', hourNow() - 48 * HOUR);
    const rows = await csv(console);
    expect(rows.at(-1)).toMatchObject({ start: new Date(hourNow() - 5 * HOUR).toISOString(), cost_usd: '4' });
    expect(new Set(rows.map(({ node }) => node))).toEqual(new Set(['alpha']));
  });
});

describe('the planner', () => {
  it('calculates an hour from the prices in force', async () => {
    const console = await operatorBrowser();
    const query = '?price=2&gpus=16&speed=622&cached=56.3&ratio=3.62&offPeak=0&model=deepseek-r1-0528';
    const text = (await textOf(console.get(PATH + query))).replaceAll(' ', '');
    // $0.14, $0.55, $2.19: 2,239,200 × (2,190 + 3.62 × (0.563 × 140 + 0.437 × 550)) nano-USD
    expect(text).toContain('$7.491');
    expect(text).toContain('$32.00');
    expect(text).toContain('2,658');
    expect(text).toContain(names.planNever.replaceAll(' ', ''));
  });

  it('names the sources of its defaults, and keeps invalid input', async () => {
    const console = await operatorBrowser();
    const text = await textOf(console.get(PATH));
    for (const source of ['sglang#3361', 'InferenceX#870', '14,800', 'measure it on each node'])
      expect(text).toContain(source);
    const html = await (await console.get(`${PATH}?cached=101&speed=0`)).text();
    expect(html).toContain(MESSAGES.en.faults.percent);
    expect(html).toContain('value="101"');
    expect(html).toContain(MESSAGES.en.faults.whole_number);
  });
});

it('reads of a thousand nodes’ year only the hours of the page’s nodes', async () => {
  // a thousand nodes; a page reads a month of hours, and the older rows only fill the table
  await d1(`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
    INSERT INTO node SELECT printf('node_%026d', i), printf('node-%04d', i), 'deepseek-r1-0528', '8xh200', 'https://n', 'k',
      600, '1', '1', 'active', 0, 0 FROM n`);
  const year = hourNow() - 365 * 24 * HOUR;
  // a year of hours for the nodes on the page, a fortnight for the others
  for (const [from, to, hours] of [
    [0, 24, 8_760],
    [25, 999, 336],
  ] as const)
    await d1(
      `WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2),
         h(j) AS (SELECT 0 UNION ALL SELECT j + 1 FROM h WHERE j < ?3 - 1)
       INSERT INTO node_hour SELECT printf('node_%026d', i), ?4 + (8760 - j) * 3600000, 5, 9000, 4000, 100000, 1000000, 1000
       FROM n, h`,
      from,
      to,
      hours,
      year,
    );
  const { DB, statements } = recorded(env.DB);
  const db = database({ DB });
  const fromMs = hourNow() - 29 * 24 * HOUR;
  const nodes = await listMarginNodes(db, { fromMs, nodeId: null, limit: 26, offset: 0 });
  const nodeIds = nodes.slice(0, 25).map(({ id }) => id);
  const buckets = await listNodeBuckets(db, { nodeIds, fromMs, bucketMs: 24 * HOUR });
  expect(buckets.length).toBeGreaterThanOrEqual(25 * 29);
  const steps = await Promise.all(statements.map(({ text, values }) => planOf(text, values)));
  // The nodes, their costs, their billed hours and their counted hours: only the list of nodes and the accounts' open sums (a
  // row `p` an account, and its JSON) may be read as a whole.
  const isAllowed = (step: string) => /^SCAN (node|(n|p|o|json_each)\b.*)$/.test(step);
  expect(steps.flat().filter((step) => step.startsWith('SCAN') && !isAllowed(step))).toEqual([]);
  expect(steps.flat()).toContain('SEARCH h USING PRIMARY KEY (node_id=? AND hour_ms>?)');
});

/** A database that remembers the statements it was given, with their values. */
function recorded(binding: D1Database) {
  const statements: { text: string; values: unknown[] }[] = [];
  const prepare = (text: string): D1PreparedStatement => {
    const statement = binding.prepare(text);
    const entry: (typeof statements)[number] = { text, values: [] };
    statements.push(entry);
    return methodsOf(statement, {
      bind: (...values: unknown[]) => {
        entry.values = values;
        return statement.bind(...values);
      },
    });
  };
  return { DB: methodsOf(binding, { prepare }), statements };
}

/** `target` with some methods replaced. */
function methodsOf<T extends object>(target: T, replaced: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      const value = replaced[name as keyof T] ?? target[name as keyof T];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** The steps by which SQLite carries a statement out. */
async function planOf(text: string, values: unknown[]): Promise<string[]> {
  const { results } = await d1(`EXPLAIN QUERY PLAN ${text}`, ...values);
  return (results as { detail: string }[]).map(({ detail }) => detail);
}
