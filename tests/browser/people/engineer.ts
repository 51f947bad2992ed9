/** The engineer on call: from the id of one request to its node and its ledger entry, and from a dead node to what is seen of it. */
import { expect } from 'vitest';
import { chatBody } from '../../e2e/chat-body.ts';
import { eventually } from '../../e2e/local.ts';
import { count, fact, faultsOf, type Portal, probe, rowsOf, shownIn, tileNano } from '../fixtures.ts';
import { pool } from './operator.ts';
import { type Customer, call, generation, type Story } from './story.ts';

export async function traces(story: Story, customer: Customer): Promise<void> {
  const { portal, t } = story;
  const body = JSON.parse(chatBody('Where did this go? [[reasoning=30 answer=12]]'));
  const answer = await call(portal, customer.apiKey, '/v1/chat/completions', body);
  expect(answer.status).toBe(200);
  await answer.text();
  const requestId = answer.headers.get('x-request-id')!;
  const { node_id, charge_nano_usd, ledger_entry } = await generation(portal, customer.apiKey, requestId);
  const { name: node } = portal.local.nodes.find(({ id }) => id === node_id)!;
  const page = await story.openAs(portal.local.stack.dev.operator);
  const faults = faultsOf(page);
  const names = t.requests.one;

  // whose it is is not known: the id is all there is
  await eventually(async () => {
    await page.goto('/operator/accounts');
    await page.getByLabel(t.operator.accounts.search).fill(requestId);
    await page.getByRole('button', { name: t.operator.accounts.submit }).click();
    // to the request, or back to the search when it is not there yet
    await page.waitForURL(/\?q=|\/requests\//);
    return page.url().endsWith(`/requests/${requestId}`);
  });
  expect(await tileNano(page, names.charged)).toBe(charge_nano_usd);
  const facts = page.getByRole('region', { name: names.factsTitle });
  expect(await shownIn(fact(facts, names.node))).toBe(node);
  const entry = page.getByRole('region', { name: names.ledgerTitle });
  expect(await shownIn(fact(entry, t.billing.seq))).toBe(names.entry(story.f.count(ledger_entry)));

  // the node's own count comes with a heartbeat: it is what was billed
  await eventually(async () => {
    await page.reload();
    const region = page.getByRole('region', { name: names.receiptsTitle });
    return (await shownIn(region)).includes(names.sameReceipt);
  });

  // both witnesses agree, by the request and by the node
  await page.goto('/operator/reconciliation');
  const { reconciliation } = t.operator;
  await page.getByText(reconciliation.none).waitFor();
  const counted = await rowsOf(page, reconciliation.countedTitle);
  const line = counted.find((row) => row[reconciliation.node] === node)!;
  expect(count(line[reconciliation.counted]!)).toBe(
    count(line[reconciliation.billed]!) + count(line[reconciliation.writtenOff]!),
  );
  expect((await pool(story, page))[node]![t.pool.health]).toBe(t.pool.healths.up);

  await seesItAsCustomer(story, customer, { requestId, nodeId: node_id });
  expect(faults).toEqual([]);
  await page.context().close();
}

/** The same request on the customer's own page, which names no node and leads to the entry of the ledger. */
async function seesItAsCustomer(
  story: Story,
  customer: Customer,
  { requestId, nodeId }: { requestId: string; nodeId: string },
): Promise<void> {
  const { t } = story;
  const names = t.requests.one;
  const page = await story.openAs(customer);
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

/** A node that dies is seen in the pool while the others serve; when the last is gone, the status says so in public. */
export async function seesNodesDie(portal: Portal, stories: readonly Story[]): Promise<void> {
  const { nodes, dev } = portal.local.stack;
  const [first, ...others] = nodes;
  const watchers = await Promise.all(
    stories.map(async (story) => ({
      story,
      console: await story.openAs(dev.operator),
      visitor: await story.open(),
    })),
  );
  const poolSays = (dead: readonly { name: string }[]) =>
    Promise.all(
      watchers.map(({ story, console }) =>
        eventually(async () => {
          const rows = await pool(story, console);
          const { healths, health } = story.t.pool;
          return nodes.every(
            (node) => rows[node.name]![health] === (dead.includes(node) ? healths.silent : healths.up),
          );
        }, 20_000),
      ),
    );
  const statusSays = async (overall: 'operational' | 'down') => {
    for (const { story, visitor } of watchers) {
      const { status } = story.t;
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
  await poolSays([first!]);
  await probe(portal);
  await statusSays('operational');

  for (const { agent } of others) agent.signal('SIGKILL');
  await poolSays(nodes);
  // one that fails may be chance
  for (let probes = 0; probes < 3; probes++) await probe(portal);
  await statusSays('down');
  const refused = await call(portal, dev.apiKey, '/v1/chat/completions', JSON.parse(chatBody('Hello?')));
  expect(refused.status).toBe(503);
}
