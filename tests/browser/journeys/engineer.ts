/** The journey of the engineer on call: tracing a request by its id, and watching nodes die in the pool and on the status page. */
import { expect } from 'vitest';
import { chatBody } from '../../e2e/chat-body.ts';
import { eventually } from '../../e2e/local.ts';
import { browserErrorsOf, count, fact, type Portal, probe, rowsOf, shownIn, tileNano } from '../fixtures.ts';
import { type Customer, call, generation, type Journey } from './journey.ts';
import { pool } from './operator.ts';

export async function traceRequest(journey: Journey, customer: Customer): Promise<void> {
  const { portal, t } = journey;
  const body = JSON.parse(chatBody('Where did this go? [[reasoning=30 answer=12]]'));
  const answer = await call(portal, customer.apiKey, '/v1/chat/completions', body);
  expect(answer.status).toBe(200);
  await answer.text();
  const requestId = answer.headers.get('x-request-id')!;
  const { node_id, charge_nano_usd, ledger_entry } = await generation(portal, customer.apiKey, requestId);
  const { name: node } = portal.local.nodes.find(({ id }) => id === node_id)!;
  const page = await journey.openAs(portal.local.stack.dev.operator);
  const faults = browserErrorsOf(page);
  const names = t.requests.one;

  // the engineer knows only the request's id, not its account
  await eventually(async () => {
    await page.goto('/operator/accounts');
    await page.getByLabel(t.operator.accounts.search).fill(requestId);
    await page.getByRole('button', { name: t.operator.accounts.submit }).click();
    // leads to the request, or back to the search when it is not in D1 yet
    await page.waitForURL(/\?q=|\/requests\//);
    return page.url().endsWith(`/requests/${requestId}`);
  });
  expect(await tileNano(page, names.charged)).toBe(charge_nano_usd);
  const facts = page.getByRole('region', { name: names.factsTitle });
  expect(await shownIn(fact(facts, names.node))).toBe(node);
  const entry = page.getByRole('region', { name: names.ledgerTitle });
  expect(await shownIn(fact(entry, t.billing.seq))).toBe(names.entry(journey.f.count(ledger_entry)));

  // the node's receipt arrives with a heartbeat and equals what was billed
  await eventually(async () => {
    await page.reload();
    const region = page.getByRole('region', { name: names.receiptsTitle });
    return (await shownIn(region)).includes(names.sameReceipt);
  });

  // counted and billed tokens agree, per request and per node
  await page.goto('/operator/reconciliation');
  const { reconciliation } = t.operator;
  await page.getByText(reconciliation.none).waitFor();
  const counted = await rowsOf(page, reconciliation.countedTitle);
  const line = counted.find((row) => row[reconciliation.node] === node)!;
  expect(count(line[reconciliation.counted]!)).toBe(
    count(line[reconciliation.billed]!) + count(line[reconciliation.writtenOff]!),
  );
  expect((await pool(journey, page))[node]![t.pool.health]).toBe(t.pool.healths.up);

  await checkAsCustomer(journey, customer, { requestId, nodeId: node_id });
  expect(faults).toEqual([]);
  await page.context().close();
}

/** Checks the request on the customer's own page, which shows the node's id and leads to the ledger entry. */
async function checkAsCustomer(
  journey: Journey,
  customer: Customer,
  { requestId, nodeId }: { requestId: string; nodeId: string },
): Promise<void> {
  const { t } = journey;
  const names = t.requests.one;
  const page = await journey.openAs(customer);
  await page.goto(`/requests/${requestId}`);
  const facts = page.getByRole('region', { name: names.factsTitle });
  expect(await shownIn(fact(facts, names.node))).toBe(nodeId);
  await page.getByRole('region', { name: names.ledgerTitle }).getByRole('link').click();
  await page.waitForURL('**/billing?before=*');
  const [entry] = await rowsOf(page, t.billing.ledgerTitle);
  expect(entry).toMatchObject({
    [t.billing.kind]: t.billing.kinds.charge,
    [t.billing.reference]: requestId,
  });
  await page.context().close();
}

/** Kills one node: the pool page shows it while the others serve. Kills all: the public status page shows the outage. */
export async function watchNodesDie(portal: Portal, journeys: readonly Journey[]): Promise<void> {
  const { nodes, dev } = portal.local.stack;
  const [first, ...others] = nodes;
  const viewers = await Promise.all(
    journeys.map(async (journey) => ({
      journey,
      console: await journey.openAs(dev.operator),
      visitor: await journey.open(),
    })),
  );
  const expectPool = (dead: readonly { name: string }[]) =>
    Promise.all(
      viewers.map(({ journey, console }) =>
        eventually(async () => {
          const rows = await pool(journey, console);
          const { healths, health } = journey.t.pool;
          return nodes.every(
            (node) => rows[node.name]![health] === (dead.includes(node) ? healths.silent : healths.up),
          );
        }, 20_000),
      ),
    );
  const expectStatus = async (overall: 'operational' | 'down') => {
    for (const { journey, visitor } of viewers) {
      const { status } = journey.t;
      await visitor.goto('/status');
      await visitor.getByRole('heading', { name: status.overall[overall], level: 1 }).waitFor();
      const parts = await rowsOf(visitor, status.title);
      expect(parts.map((row) => row[status.part])).toEqual([status.api, 'DeepSeek-R1']);
      expect(parts[0]![status.state]).toBe(status.states.operational);
      const served = parts[1]![status.state]!;
      expect(served).toContain(status.states[overall]);
      expect(served.includes(status.faults.no_node)).toBe(overall === 'down');
    }
  };

  first!.agent.signal('SIGKILL');
  await expectPool([first!]);
  await probe(portal);
  await expectStatus('operational');

  for (const { agent } of others) agent.signal('SIGKILL');
  await expectPool(nodes);
  // a single failed probe is not reported as an outage
  for (let probes = 0; probes < 3; probes++) await probe(portal);
  await expectStatus('down');
  const refused = await call(portal, dev.apiKey, '/v1/chat/completions', JSON.parse(chatBody('Hello?')));
  expect(refused.status).toBe(503);
}
