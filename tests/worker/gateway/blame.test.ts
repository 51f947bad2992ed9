/**
 * Whose fault a failure is: what one account's requests do to nodes changes nothing for the others, and what two accounts
 * see is the node's fault. The isolate and the Pool decide alike.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  answer,
  type FakeNode,
  freshNetwork,
  nodeError,
  type ReceivedRequest,
  type Script,
  stream,
  textChunk,
  usageOf,
} from '../fake-node.ts';
import { waitUntil } from '../wait.ts';
import { Customer, env, newModel, withSettings } from './client.ts';

const network = freshNetwork();
afterEach(() => {
  vi.useRealTimers();
});

const limits = { requestsPerMinute: 10_000 };
const [attacker, victim, witness] = await Promise.all([
  Customer.withCredit(undefined, limits),
  Customer.withCredit(undefined, limits),
  Customer.withCredit(undefined, limits),
]);
const NODES = 3;
const GOOD = { content: ['All ', 'good.'] };
const never = new Promise<never>(() => undefined);
const healthOf = async (model: string) =>
  (await env.POOL.getByName(model).snapshot()).nodes.map(({ health }) => health);

/** A pool whose nodes fail the requests of these accounts, and answer all others. */
async function poolThatFails(accounts: readonly Customer[], failure: Script) {
  const model = newModel();
  const ids = new Set(accounts.map(({ accountId }) => accountId));
  const script: Script = (received: ReceivedRequest) =>
    ids.has(received.claims.sub) ? failure(received) : stream(answer(GOOD));
  const nodes: FakeNode[] = [];
  for (let i = 0; i < NODES; i++) nodes.push(await network().add(model, script));
  return { model, nodes };
}

let asked = 0;
/** Each request is a conversation of its own, so that it may go to any node. */
const ask = (customer: Customer, model: string, more: object = {}, using = env) => {
  asked += 1;
  const messages = [{ role: 'user', content: `Question ${asked}` }];
  return customer.ask({ model, messages, ...more }, { using });
};

const begun = textChunk('One ', usageOf(10, 1));
const FAILURES: Record<string, Script> = {
  'are refused a connection': () => {
    throw new TypeError('connection refused');
  },
  'get 502': () => nodeError(502, 'engine_failed'),
  'get 504': () => nodeError(504, 'engine_timeout'),
  'get 503': () => nodeError(503, 'overloaded', { 'retry-after': '30' }),
  'get a full queue in a 200': () => stream([{ error: { code: 'overloaded', message: 'no' } }]),
  'get 400': () => nodeError(400, 'bad_request'),
  'break a stream': () => stream([begun, new Error('reset')]),
  'fail in a stream': () => stream([begun, { error: { code: 'engine_failed', message: 'no' } }]),
  'are refused in a stream': () => stream([begun, { error: { code: 'bad_request', message: 'no' } }]),
  'are too many in a stream': () => stream([begun, { error: { code: 'overloaded', message: 'no' } }]),
  'send nonsense': () => stream(['data: {"hello":\n\n']),
};

describe('requests of one account that, one after the other,', () => {
  it.each(Object.entries(FAILURES))('%s change nothing for the others', async (_, failure) => {
    const { model, nodes } = await poolThatFails([attacker], failure);
    vi.useFakeTimers({ toFake: ['Date'] });
    for (let i = 0; i < 20; i++) {
      await ask(attacker, model, { stream: true });
      await ask(attacker, model);
      vi.setSystemTime(Date.now() + 200);
      if (i % 5 !== 0) continue;
      await Promise.all(nodes.map((node) => node.report()));
      const { status, content } = await ask(victim, model);
      expect([status, content]).toEqual([200, 'All good.']);
    }
    expect(await healthOf(model)).toEqual(Array(NODES).fill('up'));
    const served = nodes.map(({ received }) =>
      received.filter(({ claims }) => claims.sub === victim.accountId),
    );
    // No request of the others had to be repeated, and no node was kept from them.
    expect(served.flat()).toHaveLength(4);
    for (let i = 0; i < 20; i++) await ask(victim, model);
    expect(
      nodes.every(({ received }) => received.some(({ claims }) => claims.sub === victim.accountId)),
    ).toBe(true);
  });

  it('wait in vain for a first token change nothing for the others', async () => {
    const { model } = await poolThatFails([attacker], () => never);
    const using = withSettings({ FIRST_TOKEN_DEADLINE_MS: '50' });
    const failed = await Promise.all(Array.from({ length: 30 }, () => ask(attacker, model, {}, using)));
    expect(new Set(failed.map(({ status }) => status))).toEqual(new Set([504]));
    expect(await healthOf(model)).toEqual(Array(NODES).fill('up'));
    expect((await ask(victim, model)).status).toBe(200);
  });
});

it('retries of one account leave a retry to the others', async () => {
  const fails: Script = () => nodeError(502, 'engine_failed');
  const { model, nodes } = await poolThatFails([], fails);
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const attempts = new Map<string, number>();
  let retries = 0;
  // Each request fails at first; the attacker's retries then hang.
  const script: Script = async ({ claims }) => {
    const attempt = (attempts.get(claims.jti) ?? 0) + 1;
    attempts.set(claims.jti, attempt);
    if (attempt === 1) return nodeError(502, 'engine_failed');
    if (claims.sub === attacker.accountId) {
      retries += 1;
      await released;
    }
    return stream(answer(GOOD));
  };
  for (const node of nodes) node.script = script;
  const attacks = Array.from({ length: 12 }, () => ask(attacker, model));
  await waitUntil(() => retries >= 2 && attempts.size === 12, { timeout: 60_000 });
  const { status, content } = await ask(victim, model);
  release();
  await Promise.all(attacks);
  expect([status, content]).toEqual([200, 'All good.']);
});

describe('a node at which the requests of two accounts fail', () => {
  const FAULTS: [string, Script][] = [
    ['break off', () => stream([begun, new Error('reset')])],
    ['get 502', () => nodeError(502, 'engine_failed')],
  ];

  it.each(FAULTS)('(%s) is ejected for all', async (_, failure) => {
    const { model, nodes } = await poolThatFails([], failure);
    const [bad] = nodes as [FakeNode];
    bad.script = failure;
    for (const customer of [attacker, victim]) {
      const before = bad.received.length;
      for (let i = 0; i < 100 && bad.received.length === before; i++) await ask(customer, model);
      expect(bad.received.length).toBe(before + 1);
    }
    expect((await healthOf(model)).filter((health) => health === 'ejected')).toHaveLength(1);
    for (let i = 0; i < 20; i++) await ask(witness, model);
    expect(bad.received.filter(({ claims }) => claims.sub === witness.accountId)).toEqual([]);
  });

  it('because its queue is full gets nothing from anyone until then', async () => {
    const { model, nodes } = await poolThatFails([], () => never);
    const [full] = nodes as [FakeNode];
    full.script = () => nodeError(503, 'overloaded', { 'retry-after': '30' });
    for (const customer of [attacker, victim])
      for (let i = 0; i < 100 && !full.received.some(({ claims }) => claims.sub === customer.accountId); i++)
        await ask(customer, model);
    for (let i = 0; i < 20; i++) await ask(witness, model);
    expect(full.received.map(({ claims }) => claims.sub)).toEqual([attacker.accountId, victim.accountId]);
  });
});

it('a request that the engine refuses in mid-answer is not sent to another node', async () => {
  const { model, nodes } = await poolThatFails([attacker], FAILURES['are refused in a stream']!);
  const { status, record } = await ask(attacker, model);
  expect(status).toBe(502);
  expect(record).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });
  expect(nodes.flatMap(({ received }) => received)).toHaveLength(1);
});

it('a node whose agent is gone is ejected by the first request that fails there', async () => {
  const { model, nodes } = await poolThatFails([], () => never);
  network().unplug(nodes[0]!);
  for (let i = 0; i < 30; i++) await ask(victim, model);
  expect((await healthOf(model)).filter((health) => health === 'ejected')).toHaveLength(1);
});
