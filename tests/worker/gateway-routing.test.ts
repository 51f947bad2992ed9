/** Which node gets a request: the one that knows the conversation, never one that is draining, silent or ejected. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { answer, type FakeNode, freshNetwork, refusal, stream } from './fake-node.ts';
import { Customer, env, newModel } from './gateway-client.ts';

const network = freshNetwork();
afterEach(() => {
  vi.useRealTimers();
});

const serves = () => stream(answer({ content: ['Hi'] }));

async function pool(size: number) {
  const model = newModel();
  const nodes = await Promise.all(Array.from({ length: size }, () => network().add(model, serves)));
  const customer = await Customer.withCredit(undefined, { requestsPerMinute: 10_000 });
  const talk = (opening: string, turns: string[] = [], from = customer) =>
    from.ask({
      model,
      messages: [opening, ...turns].map((content, i) => ({
        role: i % 2 === 0 ? 'user' : 'assistant',
        content,
      })),
    });
  return { model, nodes, customer, talk };
}

/** Makes the next request see the Pool as it is then: snapshots are kept for eight seconds. */
async function passTime(ms: number, alive: readonly FakeNode[]): Promise<void> {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
  await Promise.all(alive.map((node) => node.report()));
}

const askedOf = (nodes: readonly FakeNode[]) => nodes.map(({ asked }) => asked.length);

describe('a conversation', () => {
  it('stays with its node as it grows', async () => {
    const { nodes, talk } = await pool(4);
    for (let conversation = 0; conversation < 6; conversation++) {
      const before = askedOf(nodes);
      const turns: string[] = [];
      for (let turn = 0; turn < 4; turn++) {
        await talk(`Conversation ${conversation}`, turns);
        turns.push('Hi', `Go on ${turn}`);
      }
      const grown = askedOf(nodes).map((count, i) => count - before[i]!);
      expect(grown.sort()).toEqual([0, 0, 0, 4]);
    }
  });

  it('goes to the nodes in shares, and never by what another account asked', async () => {
    const { model, nodes, customer, talk } = await pool(2);
    const other = await Customer.withCredit(undefined, { requestsPerMinute: 10_000 });
    let apart = 0;
    for (let i = 0; i < 40; i++) {
      const before = askedOf(nodes)[0]!;
      await talk(`Question ${i}`);
      const mine = askedOf(nodes)[0]! - before;
      await talk(`Question ${i}`, [], other);
      apart += askedOf(nodes)[0]! - before - mine === mine ? 0 : 1;
    }
    expect(apart).toBeGreaterThan(5);
    for (const count of askedOf(nodes)) expect(count).toBeGreaterThan(15);
    const salts = new Map(
      nodes.flatMap(({ asked }) => asked.map(({ request, claims }) => [claims.sub, request.cache_salt])),
    );
    expect(new Set(salts.values()).size).toBe(2);
    expect(salts.get(customer.accountId)).toMatch(/^[0-9a-f]{32}$/);
    expect(model).toBeTruthy();
  });
});

describe('a node that', () => {
  it.each([
    ['drains', (node: FakeNode) => node.report({ draining: true })],
    ['is drained by its operator', (node: FakeNode) => setState(node, 'draining')],
    ['is removed', (node: FakeNode) => setState(node, 'removed')],
    ['has lost its engine', (node: FakeNode) => node.report({ engineHealthy: false })],
  ])('%s gets nothing', async (_, change) => {
    const { nodes, talk } = await pool(3);
    await change(nodes[0]!);
    for (let i = 0; i < 15; i++) expect((await talk(`Question ${i}`)).status).toBe(200);
    expect(nodes[0]!.asked).toEqual([]);
    expect(nodes[1]!.asked.length + nodes[2]!.asked.length).toBe(15);
  });

  it('is silent gets nothing, and its conversations come back with it', async () => {
    const { nodes, talk } = await pool(3);
    await talk('Hello');
    const home = nodes.find(({ asked }) => asked.length === 1)!;
    const others = nodes.filter((node) => node !== home);
    await passTime(9_000, others);
    expect((await talk('Hello')).status).toBe(200);
    expect(home.asked).toHaveLength(1);
    await passTime(9_000, nodes);
    await talk('Hello');
    expect(home.asked).toHaveLength(2);
  });

  it('failed is skipped, then taken back', async () => {
    const { model, nodes, talk } = await pool(3);
    await talk('Hello');
    const home = nodes.find(({ asked }) => asked.length === 1)!;
    home.script = () => refusal(502, 'engine_failed');
    expect((await talk('Hello')).status).toBe(200);
    expect(home.asked).toHaveLength(2);
    home.script = serves;
    expect((await talk('Hello')).status).toBe(200);
    expect(home.asked).toHaveLength(2);
    const view = (await env.POOL.getByName(model).snapshot()).nodes.find(({ id }) => id === home.id);
    expect(view!.health).toBe('ejected');
    await passTime(9_000, nodes);
    await talk('Hello');
    expect(home.asked).toHaveLength(3);
  });

  it('is busier than the others by far gives its conversations away', async () => {
    const { nodes, talk } = await pool(3);
    await talk('Hello');
    const home = nodes.find(({ asked }) => asked.length === 1)!;
    await passTime(9_000, nodes);
    await home.report({ inFlight: 60 });
    await talk('Hello');
    expect(home.asked).toHaveLength(1);
  });
});

describe('when more than half of a pool failed', () => {
  it('all of it is tried, because the fault may be ours', async () => {
    const { nodes, talk } = await pool(2);
    for (const node of nodes) node.script = () => refusal(502, 'engine_failed');
    expect((await talk('Hello')).status).toBe(502);
    for (const node of nodes) node.script = serves;
    expect((await talk('Hello')).status).toBe(200);
  });
});

describe('while the Pool cannot be reached', () => {
  it('the last snapshot serves', async () => {
    const { model, nodes, customer, talk } = await pool(2);
    expect((await talk('Hello')).status).toBe(200);
    await passTime(9_000, nodes);
    const down = {
      snapshot: () => Promise.reject(new Error('down')),
      reportFailure: () => Promise.resolve(),
    };
    const using = { ...env, POOL: { getByName: () => down } as unknown as typeof env.POOL };
    expect((await customer.ask({ model }, { using })).status).toBe(200);
  });
});

function setState(node: FakeNode, state: 'draining' | 'removed'): Promise<void> {
  return env.POOL.getByName(node.registered.modelId).setState(node.id, state);
}
