/** Failover while no byte of an answer has been sent: at most three nodes are tried, each at most once. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { FailureReport } from '../../../worker/domain/node.ts';
import {
  answer,
  DONE,
  freshNetwork,
  nodeError,
  type Script,
  stream,
  textChunk,
  usageOf,
  wait,
} from '../fake-node.ts';
import { waitFor, waitUntil } from '../wait.ts';
import { Customer, costOf, env, newModel, withSettings } from './client.ts';

const network = freshNetwork();
afterEach(() => {
  vi.useRealTimers();
});

const customer = await Customer.withCredit(undefined, { requestsPerMinute: 10_000 });
const GOOD = { content: ['All ', 'good.'] };

/** A pool in which the first attempts get these faults, whichever node they go to, and later attempts are answered. */
async function poolWithFaults(faults: readonly Script[], nodes: number) {
  const model = newModel();
  let attempts = 0;
  const script: Script = (request) => (faults[attempts++] ?? (() => stream(answer(GOOD))))(request);
  for (let i = 0; i < nodes; i++) await network().add(model, script);
  return { model };
}

/** A barrier: each call resolves once `size` calls have been made. */
function barrier(size: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let waiting = 0;
  return () => {
    waiting += 1;
    if (waiting === size) resolve();
    return promise;
  };
}

const generateCalls = () => network().calls.filter((call) => call.endsWith('/v1/generate'));
const healthOf = async (model: string) =>
  (await env.POOL.getByName(model).snapshot()).nodes.map(({ health }) => health).sort();

const refusesConnection: Script = () => {
  throw new TypeError('connection refused');
};
const busyFor =
  (seconds: number): Script =>
  () =>
    nodeError(503, 'overloaded', { 'retry-after': `${seconds}` });
const busy = busyFor(7);
/** A full queue as some engines report it: an error event within a 200. */
const busyIn200: Script = () => stream([{ error: { code: 'overloaded', message: 'no' } }]);

const FAULTS: Record<string, Script> = {
  'refuses the connection': refusesConnection,
  'answers 502': () => nodeError(502, 'engine_failed'),
  'answers 504': () => nodeError(504, 'engine_timeout'),
  'answers 500 with nonsense': () => new Response('<h1>oops</h1>', { status: 500 }),
  'answers 401': () => nodeError(401, 'unauthorized'),
  'ends before the first event': () => stream([]),
  'dies before the first event': () => stream([': hello\n\n', new Error('reset')]),
  'ends within the first event': () => stream(['data: {"choices":[],']),
  'answers with nothing but [DONE]': () => stream([DONE]),
  'answers with HTML': () => new Response('<!doctype html><title>Hi</title>', { status: 200 }),
  'answers with no body': () => new Response(null, { status: 200 }),
  redirects: () => new Response(null, { status: 302, headers: { location: 'https://elsewhere.example' } }),
  'sends a malformed first frame': () => stream(['data: {"hello":\n\n']),
  'sends a malformed first mark': () => stream([': u 1\n\n']),
  'sends usage that cannot be': () => stream([textChunk('Free?', usageOf(10, 1, 11)), DONE]),
  'reports a failure within a 200': () => stream([{ error: { code: 'engine_failed', message: 'no' } }]),
};

describe('a node that', () => {
  it.each(Object.entries(FAULTS))('%s is replaced by another one, and avoided', async (_, fault) => {
    for (const streamed of [true, false]) {
      const { model } = await poolWithFaults([fault], 3);
      const before = generateCalls().length;
      const { status, content, record } = await customer.ask({ model, stream: streamed });
      expect(status).toBe(200);
      expect(content).toBe('All good.');
      expect(record).toMatchObject({ state: 'posted', ending: 'finished', chargeNanoUsd: costOf(10, 2) });
      const tried = generateCalls().slice(before);
      expect(tried).toHaveLength(2);
      expect(new Set(tried).size).toBe(2);
      // For the account that saw it fail; blame.test.ts says when it is ejected for all.
      expect(await healthOf(model)).toEqual(['up', 'up', 'up']);
      for (let i = 0; i < 8; i++)
        await customer.ask({ model, messages: [{ role: 'user', content: `another ${i}` }] });
      expect(generateCalls().slice(before + 2)).toHaveLength(8);
      expect(generateCalls().slice(before + 2)).not.toContain(tried[0]);
    }
    expect(network().calls.some((call) => call.includes('elsewhere'))).toBe(false);
  });

  it.each([
    ['with a status', busy],
    ['with an event in a 200', busyIn200],
  ])('reports %s that it is overloaded is replaced by another one, and not ejected', async (_, full) => {
    const { model } = await poolWithFaults([full, full], 3);
    const { status, content } = await customer.ask({ model, stream: true });
    expect([status, content]).toEqual([200, 'All good.']);
    expect(new Set(generateCalls()).size).toBe(3);
    expect(await healthOf(model)).toEqual(['up', 'up', 'up']);
  });
});

describe('when nodes do not answer', () => {
  it('three nodes are tried once each, and the fourth is not', async () => {
    for (const streamed of [true, false]) {
      const { model } = await poolWithFaults(Array(4).fill(refusesConnection), 4);
      const before = generateCalls().length;
      const { status, headers, chunks, record } = await customer.ask({ model, stream: streamed });
      expect(status).toBe(502);
      expect(headers.get('content-type')).toBe('application/json');
      expect(headers.get('retry-after')).toBe('2');
      expect(chunks[0]!.error).toMatchObject({ type: 'server_error', code: 'node_failed', param: null });
      expect(new Set(generateCalls().slice(before)).size).toBe(3);
      expect(generateCalls().slice(before)).toHaveLength(3);
      expect(record).toMatchObject({ state: 'voided', ending: 'not_served', chargeNanoUsd: 0 });
      expect((await customer.balance()).heldNanoUsd).toBe(0);
    }
  });

  it('the only node is tried once', async () => {
    const { model } = await poolWithFaults([refusesConnection, refusesConnection], 1);
    expect((await customer.ask({ model })).status).toBe(502);
    expect(generateCalls()).toHaveLength(1);
  });

  it.each([
    [[3, 7, 5], 7],
    [[2, 300, 2], 30],
  ])('a pool whose nodes are all overloaded sends a Retry-After: %j → %i s', async (seconds, retryAfterS) => {
    const { model } = await poolWithFaults(seconds.map(busyFor), 3);
    const { status, headers, chunks, record } = await customer.ask({ model, stream: true });
    expect(status).toBe(503);
    expect(headers.get('retry-after')).toBe(`${retryAfterS}`);
    expect(headers.get('retry-after-ms')).toBe(`${retryAfterS * 1_000}`);
    expect(chunks[0]!.error).toMatchObject({ type: 'overloaded', code: 'overloaded' });
    expect(record).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });
  });

  it('no request is rejected while a node with a heartbeat has not been tried', async () => {
    const { model } = await poolWithFaults([refusesConnection, refusesConnection, refusesConnection], 4);
    // when the second request arrives, this isolate or the Pool has seen three of the four nodes fail
    expect((await customer.ask({ model })).status).toBe(502);
    const before = generateCalls();
    const { status, content } = await customer.ask({ model });
    expect([status, content]).toEqual([200, 'All good.']);
    expect(generateCalls().length - before.length).toBe(1);
  });

  it('a failed node is tried third when the two others are full', async () => {
    const model = newModel();
    const scripts: Script[] = [busy, busy, () => stream(answer(GOOD))];
    const nodes = await Promise.all(scripts.map((script) => network().add(model, script)));
    for (const accountId of ['acct_a', 'acct_b'])
      await env.POOL.getByName(model).reportFailure({ nodeId: nodes[2]!.id, accountId, startedAgoMs: 0 });
    const { status, content } = await customer.ask({ model, stream: true });
    expect([status, content]).toEqual([200, 'All good.']);
    expect(generateCalls()).toHaveLength(3);
  });

  it('a failure report tells the Pool how long ago the failed request started', async () => {
    const slow: Script = async () => {
      await wait(120);
      return nodeError(502, 'engine_failed');
    };
    const { model } = await poolWithFaults([slow], 2);
    const pool = env.POOL.getByName(model);
    const reportFailure = vi.fn(async (_: FailureReport) => {});
    const stub = { snapshotText: () => pool.snapshotText(), reportFailure };
    const using = { ...env, POOL: { getByName: () => stub } as unknown as typeof env.POOL };
    const { status } = await customer.ask({ model }, { using });
    expect(status).toBe(200);
    await waitFor(() => expect(reportFailure).toHaveBeenCalledOnce());
    const [{ nodeId, accountId, startedAgoMs }] = reportFailure.mock.calls[0]!;
    expect(accountId).toBe(customer.accountId);
    expect(generateCalls()[0]).toContain(nodeId);
    expect(startedAgoMs).toBeGreaterThanOrEqual(100);
    expect(startedAgoMs).toBeLessThan(10_000);
  });

  it('a retry waits for a random moment', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const waited = vi.spyOn(scheduler, 'wait');
    const { model } = await poolWithFaults([refusesConnection, refusesConnection], 3);
    expect((await customer.ask({ model })).status).toBe(200);
    expect(waited.mock.calls.filter(([ms]) => ms === 25)).toHaveLength(2);
  });

  it('a model without nodes is not available', async () => {
    const { model } = await poolWithFaults([], 0);
    const { status, chunks, record } = await customer.ask({ model });
    expect(status).toBe(503);
    expect(chunks[0]!.error).toMatchObject({ code: 'model_not_available' });
    expect(record).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });
  });

  it('retries do not double the load of a pool that is short of nodes', async () => {
    const model = newModel();
    const slowFault: Script = async () => {
      await wait(50);
      return nodeError(502, 'engine_failed');
    };
    for (let i = 0; i < 3; i++) await network().add(model, slowFault);
    await Promise.all(Array.from({ length: 20 }, () => customer.ask({ model })));
    // 20 first attempts; then at most 3 retries plus 20 % of the requests in flight may run at once
    expect(generateCalls().length).toBeLessThanOrEqual(20 + 2 * 7);
  });

  it('a request refused by a draining node waits for a retry slot at the others', async () => {
    const model = newModel();
    // a request waits for four seconds at most: the clock stands still, so that a slow machine ends no wait
    vi.useFakeTimers({ toFake: ['Date'] });
    // enough that at least ten of them go to each of three nodes, although they are spread at random
    const conversations = Array.from({ length: 96 }, (_, i) => [{ role: 'user', content: `What is ${i}?` }]);
    // the snapshot does not show yet that one node drains: about thirty requests go to it, more than may retry at once
    const allStarted = barrier(conversations.length);
    const afterAll =
      (script: Script): Script =>
      async (each) => {
        await allStarted();
        await wait(50);
        return script(each);
      };
    for (const script of [busy, () => stream(answer(GOOD)), () => stream(answer(GOOD))])
      await network().add(model, afterAll(script));
    const answers = await Promise.all(conversations.map((messages) => customer.ask({ model, messages })));
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(generateCalls().length).toBeGreaterThan(conversations.length + 10);
  });

  it('a request without a retry slot is rejected while that has a status; one whose client disconnects tries no node', async () => {
    const allRefused = barrier(3);
    const drains: Script = async (request) => {
      await allRefused();
      return busy(request);
    };
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let retriedIndex = -1;
    const hangs: Script = async ({ request }) => {
      retriedIndex = Number(request.messages![0]!.content);
      await released;
      return stream(answer(GOOD));
    };
    const { model } = await poolWithFaults([drains, drains, drains, hangs], 4);
    const clients = [0, 1, 2].map(() => new AbortController());
    const answers = clients.map(({ signal }, i) =>
      customer.ask({ model, stream: true, messages: [{ role: 'user', content: `${i}` }] }, { signal }),
    );
    await waitUntil(() => retriedIndex !== -1, { timeout: 60_000 });
    const [disconnects, stays] = [(retriedIndex + 1) % 3, (retriedIndex + 2) % 3];
    clients[disconnects]!.abort();
    const { status, headers } = await answers[stays]!;
    release();
    expect([status, headers.get('retry-after')]).toEqual([503, '7']);
    expect((await answers[retriedIndex]!).status).toBe(200);
    await answers[disconnects]!.catch(() => null);
    expect(generateCalls()).toHaveLength(4);
  });
});

describe("a request that is the caller's mistake", () => {
  it('gets the 400 of the engine and is not retried, and the node is not ejected', async () => {
    const { model } = await poolWithFaults([() => nodeError(400, 'bad_request')], 2);
    const { status, headers, chunks, record } = await customer.ask({ model, stream: true });
    expect(status).toBe(400);
    expect(headers.get('x-should-retry')).toBe('false');
    expect(chunks[0]!.error).toMatchObject({ type: 'invalid_request_error' });
    expect(generateCalls()).toHaveLength(1);
    expect(record).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });
    expect(await healthOf(model)).toEqual(['up', 'up']);
  });
});

describe('the first-token deadline', () => {
  const using = withSettings({ FIRST_TOKEN_DEADLINE_MS: '200' });
  const never = new Promise<never>(() => undefined);
  async function* nothing(): AsyncGenerator<string> {
    yield ': hello\n\n';
    await never;
  }
  const hangs: Record<string, Script> = {
    'before the head': () => never,
    'after the head': () => stream(nothing()),
    'within an error body': () => new Response(stream(nothing()).body, { status: 502 }),
  };

  it.each(Object.entries(hangs))(
    'ends a wait %s with 504, and its account avoids the node',
    async (_, hang) => {
      const { model } = await poolWithFaults([hang], 2);
      const { status, chunks, record } = await customer.ask({ model, stream: true }, { using });
      expect(status).toBe(504);
      expect(chunks[0]!.error).toMatchObject({ type: 'timeout', code: 'first_token_timeout' });
      expect(record).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });
      expect(generateCalls()).toHaveLength(1);
      expect(await healthOf(model)).toEqual(['up', 'up']);
      await customer.ask({ model, messages: [{ role: 'user', content: 'again' }] });
      expect(new Set(generateCalls()).size).toBe(2);
    },
  );

  it('covers all attempts together, and closes the connection of the last', async () => {
    const slow: Script = () => {
      vi.advanceTimersByTime(150);
      return nodeError(502, 'engine_failed');
    };
    const secondAttempt = Promise.withResolvers<void>();
    const hangsAtSecond: Script = () => {
      secondAttempt.resolve();
      return never;
    };
    const { model } = await poolWithFaults([slow, hangsAtSecond], 3);
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] });
    const answer = customer.ask({ model, stream: true }, { using });
    await secondAttempt.promise;
    const closed = () =>
      network()
        .nodes.flatMap((node) => node.received)
        .filter(({ stop }) => stop.aborted);
    vi.advanceTimersByTime(49);
    expect(closed()).toEqual([]);
    vi.advanceTimersByTime(1);
    const { status } = await answer;
    expect(status).toBe(504);
    expect(generateCalls()).toHaveLength(2);
    expect(closed()).toHaveLength(1);
    // the last node had only the rest of the time, and no other node showed that the first was to blame
    expect(await healthOf(model)).toEqual(['up', 'up', 'up']);
  });
});

it('never logs the prompt, the key or the answer, whatever fails', async () => {
  const lines: unknown[] = [];
  for (const method of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    vi.spyOn(console, method).mockImplementation((...args) => void lines.push(args));
  }
  const messages = [{ role: 'user', content: 'my-secret-prompt' }];
  const secret = textChunk('my-secret-answer', usageOf(10, 1));
  for (const fault of [...Object.values(FAULTS), () => stream([secret, new Error('my-secret-fault')])]) {
    const { model } = await poolWithFaults([fault, refusesConnection], 2);
    await customer.ask({ model, stream: true, messages });
    await customer.ask({ model, messages });
  }
  const { model } = await poolWithFaults([], 1);
  const broken = {
    ...env,
    POOL: { getByName: () => ({ snapshotText: () => Promise.reject(new Error('down')) }) },
  };
  const { status } = await customer.ask({ model, messages }, { using: broken as unknown as typeof env });
  expect(status).toBe(500);
  expect((await customer.balance()).heldNanoUsd).toBe(0);
  expect(JSON.stringify(lines)).toContain('request_failed');
  expect(JSON.stringify(lines)).not.toMatch(/my-secret|sk-tg-/);
});
