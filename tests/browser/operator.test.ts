/** The operator's pool page in a real browser: the state of each node and the actions on it. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { en } from '../../worker/i18n/en/index.ts';
import { api, chatBody, eventually } from '../e2e/local.ts';
import { openPortal, type Portal, rowsOf, shownIn, signIn } from './fixtures.ts';

const POOL = '/operator/pool';
const MODEL = 'DeepSeek-R1';

let portal: Portal;
let page: Page;

beforeAll(async () => {
  // engines so slow that a drained node still has streams to finish
  portal = await openPortal({ speed: 4 });
  page = await (await portal.visitor({ javaScriptEnabled: false })).newPage();
  await signIn(page, portal.local.stack.dev.operator);
  await page.goto(POOL);
});
afterAll(() => portal?.end());

/** Loads the pool page. @returns its rows by node name */
async function pool(): Promise<Record<string, Record<string, string>>> {
  await page.goto(POOL);
  const rows = await rowsOf(page, MODEL);
  return Object.fromEntries(rows.map((row) => [row[en.pool.node]!.split('\n')[0]!, row]));
}

/** Sends a request. @returns the id of the node that served it */
async function servedBy(question: string): Promise<string> {
  const body = chatBody(`${question} [[reasoning=1 answer=2]]`);
  const answer = await api(portal.local, '/v1/chat/completions', { method: 'POST', body });
  const { id, error } = (await answer.json()) as { id: string; error?: unknown };
  expect([answer.status, error]).toEqual([200, undefined]);
  return ((await (await api(portal.local, `/v1/generations/${id}`)).json()) as { node_id: string }).node_id;
}

it('shows three nodes with hardware, heartbeat and load', async () => {
  await eventually(async () => Object.values(await pool()).every((row) => row[en.pool.health] === 'up'));
  const nodes = await pool();
  expect(Object.keys(nodes)).toEqual(['h800-pair-1', 'h800-pair-2', 'mi300x-1']);
  expect(nodes['h800-pair-1']![en.pool.node]).toMatch(/2 × 8 H800, SGLang \d/);
  expect(nodes['mi300x-1']![en.pool.node]).toContain('8 × MI300X');
  for (const row of Object.values(nodes)) {
    expect(row[en.pool.heartbeat]).toMatch(/^[\d.]+ (ms|sec) ago$/);
    expect(row[en.pool.load]).toMatch(/^\d+ \/ \d+$/);
    expect(row[en.pool.kv]).toMatch(/^[\d.]+%$/);
  }
});

it('drains a node: its streams finish, it gets no new request, and it comes back when restored', async () => {
  const disconnect = new AbortController();
  const streams = Array.from({ length: 6 }, (_, i) =>
    api(portal.local, '/v1/chat/completions', {
      method: 'POST',
      body: chatBody(`A long story, number ${i}. [[reasoning=2000 answer=2000]]`, { stream: true }),
      signal: disconnect.signal,
    }),
  );
  await Promise.all(streams);
  const [busy] = await eventually(async () =>
    Object.entries(await pool()).find(([, row]) => Number(row[en.pool.inFlight]) > 0),
  );
  const nodeUrl = await page.getByRole('link', { name: `${en.pool.remove}: ${busy}` }).getAttribute('href');
  const nodeId = nodeUrl!.split('/')[3]!;

  await page.getByRole('button', { name: `${en.pool.drain}: ${busy}` }).click();
  await page.getByText(en.pool.changed(busy)).waitFor();
  expect((await pool())[busy]![en.pool.health]).toMatch(/draining: \d+ streams? finishing/);
  disconnect.abort();
  await eventually(async () => (await pool())[busy]![en.pool.health]!.includes(en.pool.drained));
  const served = await Promise.all(Array.from({ length: 20 }, (_, i) => servedBy(`What is ${i} squared?`)));
  expect(served).not.toContain(nodeId);

  await page.getByRole('button', { name: `${en.pool.restore}: ${busy}` }).click();
  await eventually(async () => !(await pool())[busy]![en.pool.health]!.includes(en.pool.drained));
  let sent = 0;
  await eventually(async () => {
    sent += 6;
    const nodes = await Promise.all(Array.from({ length: 6 }, (_, i) => servedBy(`Again: ${sent + i}?`)));
    return nodes.includes(nodeId);
  });
});

it('quarantines a node, which returns by passing a canary', async () => {
  const name = 'mi300x-1';
  await page.goto(POOL);
  await page.getByRole('button', { name: `${en.pool.quarantine}: ${name}` }).click();
  await page.getByText(en.pool.changed(name)).waitFor();
  await page.getByText(en.pool.canary.held).waitFor();
  expect((await pool())[name]![en.pool.health]).toContain(en.pool.states.quarantined);

  await page.getByRole('button', { name: `${en.pool.restore}: ${name}` }).click();
  await page.getByText(en.pool.changed(name)).waitFor();
  await eventually(async () => (await pool())[name]![en.pool.health] === 'up', 30_000);
  const [latest] = await rowsOf(page, en.pool.auditTitle);
  expect(latest).toMatchObject({
    [en.pool.auditAction]: en.pool.auditActions['node.canary_passed'],
    [en.pool.auditSubject]: name,
  });
});

it('shows a join token only once', async () => {
  await page.goto(POOL);
  await page.locator('#name').fill('not/a/name');
  await page.getByRole('button', { name: en.pool.joinSubmit }).click();
  await page.getByText(en.faults.node_name).waitFor();

  await page.locator('#name').fill('mi300x-2');
  await page.locator('#hardware').selectOption('8xmi300x');
  await page.getByRole('button', { name: en.pool.joinSubmit }).click();
  const command = await shownIn(page.locator('[data-secret]'));
  expect(command).toMatch(/^npm run node -- --engine ENGINE_URL --join \S{40,}$/);
  const token = command.split(' ').at(-1)!;

  await page.reload();
  expect(await page.locator('[data-secret]').count()).toBe(0);
  expect(await page.content()).not.toContain(token);
  const [latest] = await rowsOf(page, en.pool.auditTitle);
  expect(latest).toMatchObject({
    [en.pool.auditActor]: portal.local.stack.dev.operator.email,
    [en.pool.auditAction]: en.pool.auditActions['join_token.created'],
    [en.pool.auditSubject]: 'mi300x-2',
  });
});

it('answers 404 to a customer', async () => {
  const customer = await (await portal.visitor({ javaScriptEnabled: false })).newPage();
  await signIn(customer, portal.local.stack.dev.portal);
  expect(await customer.getByRole('link', { name: en.nav.pool, exact: true }).count()).toBe(0);
  expect((await customer.goto(POOL))!.status()).toBe(404);
  const node = portal.local.stack.dev.nodes[0]!.id;
  const drain = await customer.request.post(`/operator/nodes/${node}/drain`, {
    headers: { origin: portal.origin },
  });
  expect(drain.status()).toBe(404);
});
