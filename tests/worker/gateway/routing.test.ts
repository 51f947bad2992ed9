/** Which node gets a request: the one that knows the conversation, never one that is draining, silent or ejected. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { answer, type FakeNode, freshNetwork, refusal, stream } from '../fake-node.ts';
import { QUIET_LOAD } from '../fleet/fixtures.ts';
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

/** Makes the next request see the Pool as it is then: snapshots are kept for two seconds. */
async function passTime(ms: number, alive: readonly FakeNode[]): Promise<void> {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms });
  await Promise.all(alive.map((node) => node.report()));
}

/** Among new conversations some are its. */
async function isAskedAgain(node: FakeNode, talk: (opening: string) => Promise<unknown>): Promise<void> {
  const before = node.asked.length;
  for (let i = 0; i < 20; i++) await talk(`New ${i}`);
  expect(node.asked.length).toBeGreaterThan(before);
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

  it('is silent gets nothing, and what went elsewhere meanwhile stays there', async () => {
    const { nodes, talk } = await pool(3);
    await talk('Hello');
    const home = nodes.find(({ asked }) => asked.length === 1)!;
    const others = nodes.filter((node) => node !== home);
    await passTime(9_000, others);
    expect((await talk('Hello')).status).toBe(200);
    expect(home.asked).toHaveLength(1);
    await passTime(9_000, nodes);
    await talk('Hello');
    expect(home.asked).toHaveLength(1);
    await isAskedAgain(home, talk);
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
    // open, half open with nobody to try it, closed
    await passTime(13_000, nodes);
    await isAskedAgain(home, talk);
  });

  it('has a queue gives its conversations away, one that is merely busy does not', async () => {
    const { nodes, talk } = await pool(3);
    await talk('Hello');
    const home = nodes.find(({ asked }) => asked.length === 1)!;
    await passTime(9_000, nodes);
    await home.report({ load: { ...QUIET_LOAD, running_requests: 60 } });
    await talk('Hello');
    expect(home.asked).toHaveLength(2);
    await passTime(3_000, nodes);
    await home.report({ load: { ...QUIET_LOAD, running_requests: 60, waiting_requests: 9 } });
    await talk('Hello');
    expect(home.asked).toHaveLength(2);
  });
});

describe('a node that came back', () => {
  it('gets one request of an isolate until that has a first token, then more', async () => {
    const { nodes, talk } = await pool(4);
    const back = nodes[0]!;
    const others = nodes.slice(1);
    await passTime(0, nodes);
    const failing = () => refusal(502, 'engine_failed');
    const ask = async (count: number) => {
      const answers: Promise<Answer>[] = [];
      for (let i = 0; i < count; i++) answers.push(talk(`Question ${Math.random()}`));
      return answers;
    };
    back.script = failing;
    // conversations are spread by chance
    await vi.waitUntil(async () => {
      await Promise.all(await ask(12));
      return back.asked.length > 0;
    }, 10_000);
    const failed = back.asked.length;
    const answered = askedOf(others).reduce((sum, count) => sum + count, 0);
    const token = Promise.withResolvers<void>();
    back.script = async () => {
      await token.promise;
      return serves();
    };
    // its breaker is half open, here as in the Pool nobody has shown yet that it is back
    await passTime(2_500, nodes);
    const first = await ask(200);
    await vi.waitFor(() => {
      expect(back.asked.length).toBeGreaterThan(failed);
      expect(askedOf(others).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(answered + 190);
    }, 10_000);
    expect(back.asked).toHaveLength(failed + 1);
    token.resolve();
    for (const { status } of await Promise.all(first)) expect(status).toBe(200);
    await passTime(5_500, nodes);
    const before = back.asked.length;
    await Promise.all(await ask(40));
    expect(back.asked.length).toBeGreaterThan(before + 3);
  });
});

describe('a node whose queue was full', () => {
  it('is left alone by this isolate for as long as it said, and nobody else hears of it', async () => {
    const { model, nodes, talk } = await pool(3);
    await passTime(0, nodes);
    await talk('Hello');
    const home = nodes.find(({ asked }) => asked.length === 1)!;
    home.script = () => refusal(503, 'overloaded', { 'retry-after': '7' });
    expect((await talk('Hello')).status).toBe(200);
    expect(home.asked).toHaveLength(2);
    home.script = serves;
    await passTime(6_900, nodes);
    for (let i = 0; i < 12; i++) expect((await talk(`Question ${i}`)).status).toBe(200);
    expect(home.asked).toHaveLength(2);
    const { nodes: views } = await env.POOL.getByName(model).snapshot();
    expect(views.map(({ health }) => health)).toEqual(['up', 'up', 'up']);
    await passTime(200, nodes);
    await isAskedAgain(home, talk);
  });
});

describe('a pool whose queues are full', () => {
  const full = { ...QUIET_LOAD, running_requests: 128, waiting_requests: 40, max_queued_requests: 40 };
  const crowd = (nodes: readonly FakeNode[]) => Promise.all(nodes.map((node) => node.report({ load: full })));

  it('refuses at once, says when half of the queue is worked off, and holds nobody’s money', async () => {
    const { model, nodes, customer } = await pool(2);
    await crowd(nodes);
    for (const stream of [true, false]) {
      const answer = await customer.ask(
        { model, stream },
        { headers: { 'idempotency-key': `once-${stream}` } },
      );
      expect(answer.status).toBe(503);
      // 80 wait, 2,000 tokens each, 2 nodes of 1,000 a second
      expect(answer.headers.get('retry-after')).toBe('30');
      expect(answer.chunks[0]!.error).toMatchObject({ type: 'overloaded', code: 'overloaded' });
      expect(answer.record).toBeNull();
    }
    expect(askedOf(nodes)).toEqual([0, 0]);
    await Promise.all(nodes.map((node) => node.report()));
    await passTime(2_000, nodes);
    // the key was given back with the refusal
    const again = await customer.ask({ model }, { headers: { 'idempotency-key': 'once-false' } });
    expect(again.status).toBe(200);
  });

  it('still serves where one of them has a place', async () => {
    const { nodes, talk } = await pool(3);
    await crowd(nodes.slice(1));
    for (let i = 0; i < 10; i++) expect((await talk(`Question ${i}`)).status).toBe(200);
    expect(askedOf(nodes)).toEqual([10, 0, 0]);
  });
});

describe('a client’s session key', () => {
  /** @returns where each of these went */
  const went = async (nodes: readonly FakeNode[], asks: (() => Promise<Answer>)[]) => {
    const homes: number[] = [];
    for (const ask of asks) {
      const before = askedOf(nodes);
      expect((await ask()).status).toBe(200);
      homes.push(askedOf(nodes).findIndex((count, i) => count > before[i]!));
    }
    return homes;
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
  ])('%s keeps requests together that begin differently', async (_, carry) => {
    const { model, nodes, customer } = await pool(4);
    const ask = (key: string, i: number) => () => {
      const { body, headers } = carry(key);
      return customer.ask({ model, messages: opening(i), ...body }, { headers });
    };
    const homes: number[][] = [];
    for (const i of [0, 100, 200])
      homes.push(
        await went(
          nodes,
          KEYS.map((key, k) => ask(key, i + k)),
        ),
      );
    expect(homes[1]).toEqual(homes[0]);
    expect(homes[2]).toEqual(homes[0]);
    expect(new Set(homes[0]).size).toBeGreaterThan(1);
  });

  it('is the account’s own', async () => {
    const { model, nodes, customer } = await pool(4);
    const other = await Customer.withCredit(undefined, { requestsPerMinute: 10_000 });
    const asks = (from: Customer) =>
      KEYS.map((prompt_cache_key) => () => from.ask({ model, messages: opening(1), prompt_cache_key }));
    expect(await went(nodes, asks(other))).not.toEqual(await went(nodes, asks(customer)));
  });

  it.each([
    [{ prompt_cache_key: '' }, {}, 'prompt_cache_key'],
    [{ prompt_cache_key: 'x'.repeat(257) }, {}, 'prompt_cache_key'],
    [{ prompt_cache_key: 7 }, {}, 'prompt_cache_key'],
    [{}, { 'x-session-id': 'x'.repeat(257) }, 'x-session-id'],
  ])('that is none is refused by its name: %j %j', async (body, headers, param) => {
    const { model, customer } = await pool(1);
    const { status, chunks } = await customer.ask({ model, ...body }, { headers });
    expect(status).toBe(400);
    expect(chunks[0]!.error).toMatchObject({ type: 'invalid_request_error', param });
    expect(chunks[0]!.error!.message).toContain(`\`${param}\``);
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
      routes: () => Promise.reject(new Error('down')),
      reportFailure: () => Promise.resolve(),
    };
    const using = { ...env, POOL: { getByName: () => down } as unknown as typeof env.POOL };
    expect((await customer.ask({ model }, { using })).status).toBe(200);
  });

  it('those that it had not heard of are asked all the same, once its word is old', async () => {
    const { model, nodes, customer, talk } = await pool(2);
    await passTime(0, nodes);
    await talk('Hello');
    await passTime(9_000, []);
    expect((await talk('Hello')).status).toBe(503);
    const down = {
      routes: () => Promise.reject(new Error('down')),
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
