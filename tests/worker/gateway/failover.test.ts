/** What happens while no byte of an answer has left: another node, at most three, each at most once. */
import { describe, expect, it, vi } from 'vitest';
import {
  answer,
  DONE,
  freshNetwork,
  refusal,
  type Script,
  said,
  stream,
  usageOf,
  wait,
} from '../fake-node.ts';
import { Customer, costOf, env, newModel, withSettings } from './client.ts';

const network = freshNetwork();
const customer = await Customer.withCredit(undefined, { requestsPerMinute: 10_000 });
const GOOD = { content: ['All ', 'good.'] };

/** A pool in which the first attempts meet these faults, whichever node they go to, and later ones are answered. */
async function poolMeeting(faults: readonly Script[], nodes: number) {
  const model = newModel();
  let met = 0;
  const script: Script = (asked) => (faults[met++] ?? (() => stream(answer(GOOD))))(asked);
  for (let i = 0; i < nodes; i++) await network().add(model, script);
  return { model };
}

/** Waits until so many wait. */
function crowd(size: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let here = 0;
  return () => {
    here += 1;
    if (here === size) resolve();
    return promise;
  };
}

const generated = () => network().calls.filter((call) => call.endsWith('/v1/generate'));
const healthOf = async (model: string) =>
  (await env.POOL.getByName(model).snapshot()).nodes.map(({ health }) => health).sort();

const refuses: Script = () => {
  throw new TypeError('connection refused');
};
const busyFor =
  (seconds: number): Script =>
  () =>
    refusal(503, 'overloaded', { 'retry-after': `${seconds}` });
const busy = busyFor(7);
/** A full queue as some engines say it. */
const busyIn200: Script = () => stream([{ error: { code: 'overloaded', message: 'no' } }]);

const FAULTS: Record<string, Script> = {
  'refuses the connection': refuses,
  'answers 502': () => refusal(502, 'engine_failed'),
  'answers 504': () => refusal(504, 'engine_timeout'),
  'answers 500 with nonsense': () => new Response('<h1>oops</h1>', { status: 500 }),
  'answers 401': () => refusal(401, 'unauthorized'),
  'ends before the first event': () => stream([]),
  'dies before the first event': () => stream([': hello\n\n', new Error('reset')]),
  'ends within the first event': () => stream(['data: {"choices":[],']),
  'answers with nothing but [DONE]': () => stream([DONE]),
  'answers with HTML': () => new Response('<!doctype html><title>Hi</title>', { status: 200 }),
  'answers with no body': () => new Response(null, { status: 200 }),
  redirects: () => new Response(null, { status: 302, headers: { location: 'https://elsewhere.example' } }),
  'sends a malformed first frame': () => stream(['data: {"hello":\n\n']),
  'sends usage that cannot be': () => stream([said('Free?', usageOf(10, 1, 11)), DONE]),
  'says in a 200 that it failed': () => stream([{ error: { code: 'engine_failed', message: 'no' } }]),
};

describe('a node that', () => {
  it.each(Object.entries(FAULTS))('%s is left for another one, and ejected', async (_, fault) => {
    for (const streamed of [true, false]) {
      const { model } = await poolMeeting([fault], 3);
      const before = generated().length;
      const { status, content, record } = await customer.ask({ model, stream: streamed });
      expect(status).toBe(200);
      expect(content).toBe('All good.');
      expect(record).toMatchObject({ state: 'posted', ending: 'finished', chargeNanoUsd: costOf(10, 2) });
      const tried = generated().slice(before);
      expect(tried).toHaveLength(2);
      expect(new Set(tried).size).toBe(2);
      expect(await healthOf(model)).toEqual(['ejected', 'up', 'up']);
    }
    expect(network().calls.some((call) => call.includes('elsewhere'))).toBe(false);
  });

  it.each([
    ['with a status', busy],
    ['with an event in a 200', busyIn200],
  ])('says %s that it is overloaded is left for another one, and not ejected', async (_, full) => {
    const { model } = await poolMeeting([full, full], 3);
    const { status, content } = await customer.ask({ model, stream: true });
    expect([status, content]).toEqual([200, 'All good.']);
    expect(new Set(generated()).size).toBe(3);
    expect(await healthOf(model)).toEqual(['up', 'up', 'up']);
  });
});

describe('when nobody answers', () => {
  it('three nodes are tried, once each, and the fourth is spared', async () => {
    for (const streamed of [true, false]) {
      const { model } = await poolMeeting(Array(4).fill(refuses), 4);
      const before = generated().length;
      const { status, headers, chunks, record } = await customer.ask({ model, stream: streamed });
      expect(status).toBe(502);
      expect(headers.get('content-type')).toBe('application/json');
      expect(headers.get('retry-after')).toBe('2');
      expect(chunks[0]!.error).toMatchObject({ type: 'server_error', code: 'node_failed', param: null });
      expect(new Set(generated().slice(before)).size).toBe(3);
      expect(generated().slice(before)).toHaveLength(3);
      expect(record).toMatchObject({ state: 'voided', ending: 'not_served', chargeNanoUsd: 0 });
      expect((await customer.balance()).heldNanoUsd).toBe(0);
    }
  });

  it('the only node is tried once', async () => {
    const { model } = await poolMeeting([refuses, refuses], 1);
    expect((await customer.ask({ model })).status).toBe(502);
    expect(generated()).toHaveLength(1);
  });

  it.each([
    [[3, 7, 5], 7],
    [[2, 300, 2], 30],
  ])('a pool that is overloaded everywhere says when to come back: %j → %i s', async (seconds, wait) => {
    const { model } = await poolMeeting(seconds.map(busyFor), 3);
    const { status, headers, chunks, record } = await customer.ask({ model, stream: true });
    expect(status).toBe(503);
    expect(headers.get('retry-after')).toBe(`${wait}`);
    expect(headers.get('retry-after-ms')).toBe(`${wait * 1_000}`);
    expect(chunks[0]!.error).toMatchObject({ type: 'overloaded', code: 'overloaded' });
    expect(record).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });
  });

  it('nobody is refused while a node with a heartbeat has not been asked', async () => {
    const { model } = await poolMeeting([refuses, refuses, refuses], 4);
    // all four have failed for this isolate or for the Pool when the second request comes
    expect((await customer.ask({ model })).status).toBe(502);
    const before = generated();
    const { status, content } = await customer.ask({ model });
    expect([status, content]).toEqual([200, 'All good.']);
    expect(generated().length - before.length).toBe(1);
  });

  it('a failed node is the third to be asked when the two others have no place', async () => {
    const model = newModel();
    const scripts: Script[] = [busy, busy, () => stream(answer(GOOD))];
    const nodes = await Promise.all(scripts.map((script) => network().add(model, script)));
    await env.POOL.getByName(model).reportFailure({ nodeId: nodes[2]!.id, startedAgoMs: 0 });
    const { status, content } = await customer.ask({ model, stream: true });
    expect([status, content]).toEqual([200, 'All good.']);
    expect(generated()).toHaveLength(3);
  });

  it('the Pool hears how long ago the request that failed began', async () => {
    const slow: Script = async () => {
      await wait(120);
      return refusal(502, 'engine_failed');
    };
    const { model } = await poolMeeting([slow], 2);
    const pool = env.POOL.getByName(model);
    const reportFailure = vi.fn(async (_: { nodeId: string; startedAgoMs: number }) => {});
    const told = { routes: () => pool.routes(), reportFailure };
    const using = { ...env, POOL: { getByName: () => told } as unknown as typeof env.POOL };
    const { status } = await customer.ask({ model }, { using });
    expect(status).toBe(200);
    await vi.waitFor(() => expect(reportFailure).toHaveBeenCalledOnce());
    const [{ nodeId, startedAgoMs }] = reportFailure.mock.calls[0]!;
    expect(generated()[0]).toContain(nodeId);
    expect(startedAgoMs).toBeGreaterThanOrEqual(100);
    expect(startedAgoMs).toBeLessThan(10_000);
  });

  it('retries wait for a moment that chance decides', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const waited = vi.spyOn(scheduler, 'wait');
    const { model } = await poolMeeting([refuses, refuses], 3);
    expect((await customer.ask({ model })).status).toBe(200);
    expect(waited.mock.calls.filter(([ms]) => ms === 25)).toHaveLength(2);
  });

  it('a model without nodes is not available', async () => {
    const { model } = await poolMeeting([], 0);
    const { status, chunks, record } = await customer.ask({ model });
    expect(status).toBe(503);
    expect(chunks[0]!.error).toMatchObject({ code: 'model_not_available' });
    expect(record).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });
  });

  it('retries do not double the load of a pool that is short', async () => {
    const model = newModel();
    const slowFault: Script = async () => {
      await wait(50);
      return refusal(502, 'engine_failed');
    };
    for (let i = 0; i < 3; i++) await network().add(model, slowFault);
    await Promise.all(Array.from({ length: 20 }, () => customer.ask({ model })));
    // 20 first attempts; then at most 3 + 20 % of what runs may be retrying at once
    expect(generated().length).toBeLessThanOrEqual(20 + 2 * 7);
  });

  it('who is turned away by a node that drains waits for a turn at the others', async () => {
    const model = newModel();
    const asked = Array.from({ length: 60 }, (_, i) => [{ role: 'user', content: `What is ${i}?` }]);
    // the snapshot does not say yet that one drains: some twenty ask it, more than may be retrying at once
    const all = crowd(asked.length);
    const afterAll =
      (script: Script): Script =>
      async (each) => {
        await all();
        await wait(50);
        return script(each);
      };
    for (const script of [busy, () => stream(answer(GOOD)), () => stream(answer(GOOD))])
      await network().add(model, afterAll(script));
    const answers = await Promise.all(asked.map((messages) => customer.ask({ model, messages })));
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(generated().length).toBeGreaterThan(asked.length + 10);
  });

  it('whose turn does not come is refused while that has a status; who leaves meanwhile asks nobody', async () => {
    const all = crowd(3);
    const drains: Script = async (asked) => {
      await all();
      return busy(asked);
    };
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let whoseTurn = -1;
    const hangs: Script = async ({ request }) => {
      whoseTurn = Number(request.messages![0]!.content);
      await released;
      return stream(answer(GOOD));
    };
    const { model } = await poolMeeting([drains, drains, drains, hangs], 4);
    const leaving = [0, 1, 2].map(() => new AbortController());
    const answers = leaving.map(({ signal }, i) =>
      customer.ask({ model, stream: true, messages: [{ role: 'user', content: `${i}` }] }, { signal }),
    );
    await vi.waitUntil(() => whoseTurn !== -1, { timeout: 5_000 });
    const [leaves, stays] = [(whoseTurn + 1) % 3, (whoseTurn + 2) % 3];
    leaving[leaves]!.abort();
    const { status, headers } = await answers[stays]!;
    release();
    expect([status, headers.get('retry-after')]).toEqual([503, '7']);
    expect((await answers[whoseTurn]!).status).toBe(200);
    await answers[leaves]!.catch(() => null);
    expect(generated()).toHaveLength(4);
  });
});

describe("a request that is the caller's mistake", () => {
  it('gets the 400 of the engine, is not retried, and the node stays', async () => {
    const { model } = await poolMeeting([() => refusal(400, 'bad_request')], 2);
    const { status, headers, chunks, record } = await customer.ask({ model, stream: true });
    expect(status).toBe(400);
    expect(headers.get('x-should-retry')).toBe('false');
    expect(chunks[0]!.error).toMatchObject({ type: 'invalid_request_error' });
    expect(generated()).toHaveLength(1);
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
    'within a refusal': () => new Response(stream(nothing()).body, { status: 502 }),
  };

  it.each(Object.entries(hangs))('ends a wait %s with 504; one node is to blame', async (_, hang) => {
    const { model } = await poolMeeting([hang], 2);
    const { status, chunks, record } = await customer.ask({ model, stream: true }, { using });
    expect(status).toBe(504);
    expect(chunks[0]!.error).toMatchObject({ type: 'timeout', code: 'first_token_timeout' });
    expect(record).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });
    expect(generated()).toHaveLength(1);
    expect(await healthOf(model)).toEqual(['ejected', 'up']);
  });

  it('covers all attempts together, and hangs up on the last', async () => {
    const slow: Script = async () => {
      await wait(100);
      return refusal(502, 'engine_failed');
    };
    const { model } = await poolMeeting([slow, () => never], 3);
    const startedMs = performance.now();
    const { status } = await customer.ask({ model, stream: true }, { using });
    expect(status).toBe(504);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    expect(generated()).toHaveLength(2);
    const asked = network().nodes.flatMap((node) => node.asked);
    expect(asked.filter(({ stop }) => stop.aborted)).toHaveLength(1);
    // the last had only what the first had left of the time, and nobody showed that the first was to blame
    expect(await healthOf(model)).toEqual(['up', 'up', 'up']);
  });
});

it('says nothing of the prompt, the key or the answer to the log, whatever fails', async () => {
  const lines: unknown[] = [];
  for (const method of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    vi.spyOn(console, method).mockImplementation((...args) => void lines.push(args));
  }
  const messages = [{ role: 'user', content: 'my-secret-prompt' }];
  const secret = said('my-secret-answer', usageOf(10, 1));
  for (const fault of [...Object.values(FAULTS), () => stream([secret, new Error('my-secret-fault')])]) {
    const { model } = await poolMeeting([fault, refuses], 2);
    await customer.ask({ model, stream: true, messages });
    await customer.ask({ model, messages });
  }
  const { model } = await poolMeeting([], 1);
  const broken = {
    ...env,
    POOL: { getByName: () => ({ routes: () => Promise.reject(new Error('down')) }) },
  };
  const { status } = await customer.ask({ model, messages }, { using: broken as unknown as typeof env });
  expect(status).toBe(500);
  expect((await customer.balance()).heldNanoUsd).toBe(0);
  expect(JSON.stringify(lines)).toContain('request_failed');
  expect(JSON.stringify(lines)).not.toMatch(/my-secret|sk-tg-/);
});
