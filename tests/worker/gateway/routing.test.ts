/**
 * Routing: a request goes to the node that has its conversation cached, never to one that is draining, silent or ejected.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { answer, type FakeNode, freshNetwork, nodeError, stream } from '../fake-node.ts';
import { QUIET_LOAD } from '../fleet/fixtures.ts';
import { waitFor, waitUntil } from '../wait.ts';
import { type Answer, Customer, env, newModel } from './client.ts';

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

/** Advances the clock, so that the next request gets a new snapshot: an isolate keeps one for two seconds. Other nodes are silent. */
async function passTime(ms: number, alive: readonly FakeNode[]): Promise<void> {
  network().stopBeats();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
  await Promise.all(alive.map((node) => node.report()));
}

/**
 * Starts new conversations until the node gets one. They are spread at random, and that 200 in a row go elsewhere is as
 * good as impossible.
 */
async function expectRequestTo(node: FakeNode, talk: (opening: string) => Promise<unknown>): Promise<void> {
  const before = node.received.length;
  for (let i = 0; i < 200 && node.received.length === before; i++) await talk(`New ${i}`);
  expect(node.received.length).toBeGreaterThan(before);
}

const requestCounts = (nodes: readonly FakeNode[]) => nodes.map(({ received }) => received.length);

describe('a conversation', () => {
  it('stays with its node as it grows', async () => {
    const { nodes, talk } = await pool(4);
    for (let conversation = 0; conversation < 6; conversation++) {
      const before = requestCounts(nodes);
      const turns: string[] = [];
      for (let turn = 0; turn < 4; turn++) {
        await talk(`Conversation ${conversation}`, turns);
        turns.push('Hi', `Go on ${turn}`);
      }
      const grown = requestCounts(nodes).map((count, i) => count - before[i]!);
      expect(grown.sort()).toEqual([0, 0, 0, 4]);
    }
  });

  it('is spread evenly over the nodes, independently of other accounts', async () => {
    const { model, nodes, customer, talk } = await pool(2);
    const other = await Customer.withCredit(undefined, { requestsPerMinute: 10_000 });
    let different = 0;
    for (let i = 0; i < 40; i++) {
      const before = requestCounts(nodes)[0]!;
      await talk(`Question ${i}`);
      const first = requestCounts(nodes)[0]! - before;
      await talk(`Question ${i}`, [], other);
      different += requestCounts(nodes)[0]! - before - first === first ? 0 : 1;
    }
    expect(different).toBeGreaterThan(5);
    for (const count of requestCounts(nodes)) expect(count).toBeGreaterThan(15);
    const salts = new Map(
      nodes.flatMap(({ received }) =>
        received.map(({ request, claims }) => [claims.sub, request.cache_salt]),
      ),
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
    expect(nodes[0]!.received).toEqual([]);
    expect(nodes[1]!.received.length + nodes[2]!.received.length).toBe(15);
  });

  it('is silent gets nothing, and conversations that moved meanwhile stay where they are', async () => {
    const { nodes, talk } = await pool(3);
    await talk('Hello');
    const home = nodes.find(({ received }) => received.length === 1)!;
    const others = nodes.filter((node) => node !== home);
    await passTime(9_000, others);
    expect((await talk('Hello')).status).toBe(200);
    expect(home.received).toHaveLength(1);
    await passTime(9_000, nodes);
    await talk('Hello');
    expect(home.received).toHaveLength(1);
    await expectRequestTo(home, talk);
  });

  it('failed is skipped, then used again', async () => {
    const { nodes, talk } = await pool(3);
    await talk('Hello');
    const home = nodes.find(({ received }) => received.length === 1)!;
    home.script = () => nodeError(502, 'engine_failed');
    expect((await talk('Hello')).status).toBe(200);
    expect(home.received).toHaveLength(2);
    home.script = serves;
    expect((await talk('Hello')).status).toBe(200);
    expect(home.received).toHaveLength(2);
    // by then its breaker has been open, half open without a probe, and closed
    await passTime(13_000, nodes);
    await expectRequestTo(home, talk);
  });

  it('has a queue loses its conversations to others, unlike one that is merely busy', async () => {
    const { nodes, talk } = await pool(3);
    await talk('Hello');
    const home = nodes.find(({ received }) => received.length === 1)!;
    await passTime(9_000, nodes);
    await home.report({ load: { ...QUIET_LOAD, running_requests: 60 } });
    await talk('Hello');
    expect(home.received).toHaveLength(2);
    await passTime(3_000, nodes);
    await home.report({ load: { ...QUIET_LOAD, running_requests: 60, waiting_requests: 9 } });
    await talk('Hello');
    expect(home.received).toHaveLength(2);
  });
});

describe('a node that came back', () => {
  it('gets one request per isolate until that has a first token, then more', async () => {
    const { nodes, talk } = await pool(4);
    const back = nodes[0]!;
    const others = nodes.slice(1);
    await passTime(0, nodes);
    const failing = () => nodeError(502, 'engine_failed');
    const ask = async (count: number) => {
      const answers: Promise<Answer>[] = [];
      for (let i = 0; i < count; i++) answers.push(talk(`Question ${Math.random()}`));
      return answers;
    };
    back.script = failing;
    // conversations are spread at random
    await waitUntil(async () => {
      await Promise.all(await ask(12));
      return back.received.length > 0;
    });
    const failed = back.received.length;
    const answered = requestCounts(others).reduce((sum, count) => sum + count, 0);
    const token = Promise.withResolvers<void>();
    back.script = async () => {
      await token.promise;
      return serves();
    };
    // its breaker is half open: no request has shown yet that it is back, neither to this isolate nor to the Pool
    await passTime(2_500, nodes);
    const first = await ask(200);
    await waitFor(() => {
      expect(back.received.length).toBeGreaterThan(failed);
      expect(requestCounts(others).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(answered + 190);
    });
    expect(back.received).toHaveLength(failed + 1);
    token.resolve();
    for (const { status } of await Promise.all(first)) expect(status).toBe(200);
    await passTime(5_500, nodes);
    const before = back.received.length;
    // about 25 of 100 go to it; with only 40 requests it would get no more than three once in 200 runs
    await Promise.all(await ask(100));
    expect(back.received.length).toBeGreaterThan(before + 3);
  });
});

describe('a node whose queue was full', () => {
  it('gets nothing from this isolate for as long as it said, and the Pool is not told', async () => {
    const { model, nodes, talk } = await pool(3);
    await passTime(0, nodes);
    await talk('Hello');
    const home = nodes.find(({ received }) => received.length === 1)!;
    home.script = () => nodeError(503, 'overloaded', { 'retry-after': '7' });
    expect((await talk('Hello')).status).toBe(200);
    expect(home.received).toHaveLength(2);
    home.script = serves;
    await passTime(6_900, nodes);
    for (let i = 0; i < 12; i++) expect((await talk(`Question ${i}`)).status).toBe(200);
    expect(home.received).toHaveLength(2);
    const { nodes: views } = await env.POOL.getByName(model).snapshot();
    expect(views.map(({ health }) => health)).toEqual(['up', 'up', 'up']);
    await passTime(200, nodes);
    await expectRequestTo(home, talk);
  });
});

describe('a pool whose queues are full', () => {
  const full = { ...QUIET_LOAD, running_requests: 128, waiting_requests: 40, max_queued_requests: 40 };
  const fill = (nodes: readonly FakeNode[]) => Promise.all(nodes.map((node) => node.report({ load: full })));

  it('rejects at once, with a Retry-After of half the queue’s drain time, and nothing is held', async () => {
    const { model, nodes, customer } = await pool(2);
    await fill(nodes);
    for (const stream of [true, false]) {
      const answer = await customer.ask(
        { model, stream },
        { headers: { 'idempotency-key': `once-${stream}` } },
      );
      expect(answer.status).toBe(503);
      // 80 requests wait, with 2,000 tokens each, at 2 nodes of 1,000 tokens per second
      expect(answer.headers.get('retry-after')).toBe('30');
      expect(answer.chunks[0]!.error).toMatchObject({ type: 'overloaded', code: 'overloaded' });
      expect(answer.record).toBeNull();
    }
    expect(requestCounts(nodes)).toEqual([0, 0]);
    await Promise.all(nodes.map((node) => node.report()));
    await passTime(2_000, nodes);
    // the error has released the idempotency key
    const again = await customer.ask({ model }, { headers: { 'idempotency-key': 'once-false' } });
    expect(again.status).toBe(200);
  });

  it('still serves while one of its nodes has room', async () => {
    const { nodes, talk } = await pool(3);
    await fill(nodes.slice(1));
    for (let i = 0; i < 10; i++) expect((await talk(`Question ${i}`)).status).toBe(200);
    expect(requestCounts(nodes)).toEqual([10, 0, 0]);
  });
});

describe('a client’s session key', () => {
  /** Sends requests one by one. @returns the index of the node that each went to */
  const nodesOf = async (nodes: readonly FakeNode[], sends: (() => Promise<Answer>)[]) => {
    const indexes: number[] = [];
    for (const send of sends) {
      const before = requestCounts(nodes);
      expect((await send()).status).toBe(200);
      indexes.push(requestCounts(nodes).findIndex((count, i) => count > before[i]!));
    }
    return indexes;
  };
  const opening = (i: number) => [{ role: 'user', content: `Opening ${i}` }];
  const KEYS = Array.from({ length: 12 }, (_, i) => `session-${i}`);

  it.each([
    ['in the body', (key: string) => ({ body: { prompt_cache_key: key }, headers: {} })],
    ['in a header', (key: string) => ({ body: {}, headers: { 'x-session-id': key } })],
    [
      'in both, the body’s',
      (key: string) => ({ body: { prompt_cache_key: key }, headers: { 'x-session-id': `${Math.random()}` } }),
    ],
  ])('%s keeps requests with different openings together', async (_, carry) => {
    const { model, nodes, customer } = await pool(4);
    const ask = (key: string, i: number) => () => {
      const { body, headers } = carry(key);
      return customer.ask({ model, messages: opening(i), ...body }, { headers });
    };
    const chosen: number[][] = [];
    for (const i of [0, 100, 200])
      chosen.push(
        await nodesOf(
          nodes,
          KEYS.map((key, k) => ask(key, i + k)),
        ),
      );
    expect(chosen[1]).toEqual(chosen[0]);
    expect(chosen[2]).toEqual(chosen[0]);
    expect(new Set(chosen[0]).size).toBeGreaterThan(1);
  });

  it('is the account’s own', async () => {
    const { model, nodes, customer } = await pool(4);
    const other = await Customer.withCredit(undefined, { requestsPerMinute: 10_000 });
    const asks = (from: Customer) =>
      KEYS.map((prompt_cache_key) => () => from.ask({ model, messages: opening(1), prompt_cache_key }));
    expect(await nodesOf(nodes, asks(other))).not.toEqual(await nodesOf(nodes, asks(customer)));
  });

  it.each([
    [{ prompt_cache_key: '' }, {}, 'prompt_cache_key'],
    [{ prompt_cache_key: 'x'.repeat(257) }, {}, 'prompt_cache_key'],
    [{ prompt_cache_key: 7 }, {}, 'prompt_cache_key'],
    [{}, { 'x-session-id': 'x'.repeat(257) }, 'x-session-id'],
  ])('that is invalid is rejected by name: %j %j', async (body, headers, param) => {
    const { model, customer } = await pool(1);
    const { status, chunks } = await customer.ask({ model, ...body }, { headers });
    expect(status).toBe(400);
    expect(chunks[0]!.error).toMatchObject({ type: 'invalid_request_error', param });
    expect(chunks[0]!.error!.message).toContain(`\`${param}\``);
  });
});

describe('when more than half of a pool failed', () => {
  it('all of its nodes are tried, because the fault may be ours', async () => {
    const { nodes, talk } = await pool(2);
    for (const node of nodes) node.script = () => nodeError(502, 'engine_failed');
    expect((await talk('Hello')).status).toBe(502);
    for (const node of nodes) node.script = serves;
    expect((await talk('Hello')).status).toBe(200);
  });
});

describe('while the Pool cannot be reached', () => {
  it('the last snapshot is used', async () => {
    const { model, nodes, customer, talk } = await pool(2);
    expect((await talk('Hello')).status).toBe(200);
    await passTime(9_000, nodes);
    const down = {
      snapshotText: () => Promise.reject(new Error('down')),
      reportFailure: () => Promise.resolve(),
    };
    const using = { ...env, POOL: { getByName: () => down } as unknown as typeof env.POOL };
    expect((await customer.ask({ model }, { using })).status).toBe(200);
  });

  it('nodes that it reported as silent are tried all the same, once its snapshot is old', async () => {
    const { model, nodes, customer, talk } = await pool(2);
    await passTime(0, nodes);
    await talk('Hello');
    await passTime(9_000, []);
    expect((await talk('Hello')).status).toBe(503);
    const down = {
      snapshotText: () => Promise.reject(new Error('down')),
      reportFailure: () => Promise.resolve(),
    };
    const using = { ...env, POOL: { getByName: () => down } as unknown as typeof env.POOL };
    await passTime(9_000, []);
    expect((await customer.ask({ model }, { using })).status).toBe(503);
    await passTime(1_500, []);
    expect((await customer.ask({ model }, { using })).status).toBe(200);
  });
});

function setState(node: FakeNode, state: 'draining' | 'removed'): Promise<void> {
  const changed = { ...node.registered, state, revision: node.registered.revision + 1 };
  return env.POOL.getByName(changed.modelId).register(changed);
}
