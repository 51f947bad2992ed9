/** The journey of the operator: draining a node, checking margins, and granting credit to and suspending a customer. */
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { eventually } from '../../e2e/local.ts';
import { amountNano, browserErrorsOf, count, rowsOf, tileNano } from '../fixtures.ts';
import { type Customer, call, type Journey, sum } from './journey.ts';

const GRANT = 2.5e9;

/** @param node the name of a node that no other journey drains */
export async function operatorJourney(journey: Journey, customer: Customer, node: string): Promise<void> {
  const page = await journey.openAs(journey.portal.local.stack.dev.operator);
  const faults = browserErrorsOf(page);
  await drainAndRestore(journey, page, node);
  await checkMargin(journey, page, node);
  await findCustomer(journey, page, customer);
  expect(faults).toEqual([]);
  await grantCredit(journey, page, customer);
  await suspendAndResume(journey, page, customer);
  await page.context().close();
}

/** Loads the pool page. @returns its rows by node name */
export async function pool({ t }: Journey, page: Page): Promise<Record<string, Record<string, string>>> {
  await page.goto('/operator/pool');
  const rows = await rowsOf(page, 'DeepSeek-R1');
  return Object.fromEntries(rows.map((row) => [row[t.pool.node]!.split('\n')[0]!, row]));
}

async function drainAndRestore(journey: Journey, page: Page, node: string): Promise<void> {
  const { t } = journey;
  const { health } = t.pool;
  const nodes = await pool(journey, page);
  expect(Object.keys(nodes)).toEqual(journey.portal.local.stack.nodes.map(({ name }) => name));
  expect(nodes[node]![health]).toBe(t.pool.healths.up);
  await page.getByRole('button', { name: `${t.pool.drain}: ${node}` }).click();
  await page.getByText(t.pool.changed(node)).waitFor();
  await eventually(async () => (await pool(journey, page))[node]![health]!.includes(t.pool.drained));
  const [latest] = (await rowsOf(page, t.pool.auditTitle)).filter((row) => row[t.pool.auditSubject] === node);
  expect(latest).toMatchObject({
    [t.pool.auditActor]: journey.portal.local.stack.dev.operator.email,
    [t.pool.auditAction]: t.pool.auditActions['node.draining'],
  });

  // a removal cannot be undone, so it requires the node's name
  await page.getByRole('link', { name: `${t.pool.remove}: ${node}` }).click();
  expect(await page.getByLabel(t.pool.removeConfirm(node)).inputValue()).toBe('');
  await page.getByRole('link', { name: t.pool.cancel }).click();

  await page.getByRole('button', { name: `${t.pool.restore}: ${node}` }).click();
  await page.getByText(t.pool.changed(node)).waitFor();
  await eventually(async () => (await pool(journey, page))[node]![health] === t.pool.healths.up);
}

/** Enters a node's cost, and checks that the revenue by hour equals the revenue by node. */
async function checkMargin({ t, f, portal }: Journey, page: Page, node: string): Promise<void> {
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

async function findCustomer({ t }: Journey, page: Page, { name, email }: Customer): Promise<void> {
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

/** Grants credit: a mistyped confirmation grants nothing; the right one appears in the customer's ledger. */
async function grantCredit(journey: Journey, page: Page, customer: Customer): Promise<void> {
  const { t } = journey;
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

  const theirs = await journey.openAs(customer);
  await theirs.goto('/billing');
  const [entry] = await rowsOf(theirs, t.billing.ledgerTitle);
  expect(entry![t.billing.kind]).toBe(t.billing.kinds.grant);
  expect(amountNano(entry![t.billing.grantedUsd]!)).toBe(GRANT);
  await theirs.context().close();
}

/** Suspends the account and resumes it. Its keys follow within ten seconds. */
async function suspendAndResume({ t, portal }: Journey, page: Page, customer: Customer): Promise<void> {
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
