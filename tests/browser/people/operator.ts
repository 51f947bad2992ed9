/** The operator: a node that is drained and comes back, what nodes earn, and a customer who is helped and stopped. */
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { eventually } from '../../e2e/local.ts';
import { amountNano, count, faultsOf, rowsOf, tileNano } from '../fixtures.ts';
import { type Customer, call, type Story, sum } from './story.ts';

const GRANT = 2.5e9;

/** @param node the name of one that is this operator's to drain */
export async function operates(story: Story, customer: Customer, node: string): Promise<void> {
  const page = await story.openAs(story.portal.local.stack.dev.operator);
  const faults = faultsOf(page);
  await drainsAndRestores(story, page, node);
  await reckons(story, page, node);
  await findsTheCustomer(story, page, customer);
  expect(faults).toEqual([]);
  await grants(story, page, customer);
  await suspendsAndResumes(story, page, customer);
  await page.context().close();
}

/** The nodes as the pool's page has them now: name → row. */
export async function pool({ t }: Story, page: Page): Promise<Record<string, Record<string, string>>> {
  await page.goto('/operator/pool');
  const rows = await rowsOf(page, 'DeepSeek-R1');
  return Object.fromEntries(rows.map((row) => [row[t.pool.node]!.split('\n')[0]!, row]));
}

async function drainsAndRestores(story: Story, page: Page, node: string): Promise<void> {
  const { t } = story;
  const { health } = t.pool;
  const nodes = await pool(story, page);
  expect(Object.keys(nodes)).toEqual(story.portal.local.stack.nodes.map(({ name }) => name));
  expect(nodes[node]![health]).toBe(t.pool.healths.up);
  await page.getByRole('button', { name: `${t.pool.drain}: ${node}` }).click();
  await page.getByText(t.pool.changed(node)).waitFor();
  await eventually(async () => (await pool(story, page))[node]![health]!.includes(t.pool.drained));
  const [latest] = (await rowsOf(page, t.pool.auditTitle)).filter((row) => row[t.pool.auditSubject] === node);
  expect(latest).toMatchObject({
    [t.pool.auditActor]: story.portal.local.stack.dev.operator.email,
    [t.pool.auditAction]: t.pool.auditActions['node.draining'],
  });

  // what cannot be taken back asks for the name
  await page.getByRole('link', { name: `${t.pool.remove}: ${node}` }).click();
  expect(await page.getByLabel(t.pool.removeConfirm(node)).inputValue()).toBe('');
  await page.getByRole('link', { name: t.pool.cancel }).click();

  await page.getByRole('button', { name: `${t.pool.restore}: ${node}` }).click();
  await page.getByText(t.pool.changed(node)).waitFor();
  await eventually(async () => (await pool(story, page))[node]![health] === t.pool.healths.up);
}

/** Hours and nodes come to the same revenue, and an hour of a node costs what the operator says. */
async function reckons({ t, f, portal }: Story, page: Page, node: string): Promise<void> {
  const names = t.margin;
  await page.getByRole('link', { name: t.operator.nav.margin, exact: true }).click();
  const form = page.locator('form[action="/operator/margin"]');
  await form.getByLabel(names.costNode).selectOption({ label: names.costGpus(node, f.count(gpusOf(node))) });
  await form.getByLabel(names.costPrice).fill('2');
  await form.getByRole('button', { name: names.costSubmit }).click();
  await page.getByText(names.costSaved(node, f.usd(2e9 * gpusOf(node)))).waitFor();
  const nodes = await rowsOf(page, names.nodeTitle);
  expect(nodes.map((row) => row[names.node])).toEqual(portal.local.stack.nodes.map(({ name }) => name));
  expect(nodes.find((row) => row[names.node] === node)![names.costNow]).toBe(f.usd(2e9));
  const hours = await rowsOf(page, names.bucketTitle.hour);
  const revenue = (rows: Record<string, string>[]) => sum(rows.map((row) => amountNano(row[names.revenue]!)));
  const output = (rows: Record<string, string>[]) => sum(rows.map((row) => count(row[names.output]!)));
  expect([revenue(nodes), output(nodes)]).toEqual([revenue(hours), output(hours)]);
  expect(revenue(nodes)).toBeGreaterThan(0);
}

function gpusOf(node: string): number {
  return node.startsWith('h800-pair') ? 16 : 8;
}

async function findsTheCustomer({ t }: Story, page: Page, { name, email }: Customer): Promise<void> {
  await page.getByRole('link', { name: t.operator.nav.accounts, exact: true }).click();
  await page.getByLabel(t.operator.accounts.search).fill(email);
  await page.getByRole('button', { name: t.operator.accounts.submit }).click();
  await page.waitForURL('**/accounts?q=*');
  const [found, ...others] = await rowsOf(page, t.operator.accounts.title);
  expect(others).toEqual([]);
  expect(found![t.operator.accounts.owner]).toBe(email);
  await page.getByRole('link', { name: found![t.operator.accounts.account] }).click();
  await page.getByRole('heading', { name, exact: true, level: 1 }).waitFor();
}

/** A name that is mistyped grants nothing; the right one is seen in the customer's ledger. */
async function grants(story: Story, page: Page, customer: Customer): Promise<void> {
  const { t } = story;
  const names = t.customers;
  const before = await tileNano(page, names.granted);
  const form = page.locator('form[action$="/grants"]');
  const submit = () => form.getByRole('button', { name: names.grantSubmit }).click();
  await form.getByLabel(names.grantAmount).fill('2.5');
  await form.getByLabel(names.grantWhy).fill('an hour that was slow');
  await form.getByLabel(names.confirm(customer.email)).fill('somebody');
  await submit();
  await form.getByText(t.faults.confirm_account).waitFor();
  await form.getByLabel(names.confirm(customer.email)).fill(customer.email);
  await submit();
  await page.getByText(names.grantDone).waitFor();
  expect(await tileNano(page, names.granted)).toBe(before + GRANT);

  const theirs = await story.openAs(customer);
  await theirs.goto('/billing');
  const [entry] = await rowsOf(theirs, t.billing.ledgerTitle);
  expect(entry![t.billing.kind]).toBe(t.billing.kinds.grant);
  expect(amountNano(entry![t.billing.grantedUsd]!)).toBe(GRANT);
  await theirs.context().close();
}

/** Within ten seconds every key is refused, and works again. */
async function suspendsAndResumes({ t, portal }: Story, page: Page, customer: Customer): Promise<void> {
  const names = t.customers;
  const answers = async () => {
    const answer = await call(portal, customer.apiKey, '/v1/key');
    const { error } = (await answer.json()) as { error?: { code: string } };
    return error ? `${answer.status} ${error.code}` : answer.status;
  };
  expect(await answers()).toBe(200);
  const steps = [
    [names.suspendSubmit, names.suspendDone, '403 account_suspended'],
    [names.resumeSubmit, names.resumeDone, 200],
  ] as const;
  for (const [submit, done, then] of steps) {
    const form = page.locator('form').filter({ has: page.getByRole('button', { name: submit }) });
    await form.getByLabel(names.confirm(customer.email)).fill(customer.email);
    await form.getByRole('button').click();
    await page.getByText(done).waitFor();
    await eventually(async () => (await answers()) === then, 10_000);
  }
}
