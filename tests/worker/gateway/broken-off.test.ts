/** Nodes that break in the middle of an answer: only what was delivered is billed, and the client gets an error. */
import { describe, expect, it } from 'vitest';
import { toUsdNumber } from '../../../worker/domain/money.ts';
import {
  answer,
  DONE,
  type FakeNode,
  freshNetwork,
  type Script,
  type Step,
  stream,
  textChunk,
  usageOf,
  wait,
} from '../fake-node.ts';
import { waitFor } from '../wait.ts';
import { Customer, costOf, env, newModel, withSettings } from './client.ts';

const network = freshNetwork();
const customer = await Customer.withCredit(undefined, { requestsPerMinute: 10_000 });
const using = withSettings({ IDLE_DEADLINE_MS: '150' });
const never = new Promise<never>(() => undefined);

const FIRST_CHUNKS = [textChunk('One ', usageOf(10, 1)), textChunk('two ', usageOf(10, 2))];

/** The way in which an answer that started well goes wrong; null: nothing more is sent. */
type Break = Step | null | (() => AsyncGenerator<Step>);

function breaking(fault: Break, firstSteps: readonly Step[] = FIRST_CHUNKS): Script {
  const steps = async function* () {
    yield* firstSteps;
    if (typeof fault === 'function') yield* fault();
    else if (fault !== null) yield fault;
    await (fault === null ? never : wait(0));
  };
  return () => stream(steps());
}

/** The bytes of an event that never completes. */
async function* trickle(): AsyncGenerator<Step> {
  for (;;) {
    await wait(60);
    yield 'd';
  }
}

/** Only agents that send chunks break in these ways. */
const BREAKS_OF_CHUNKS: Record<string, Break> = {
  'sends a malformed frame': 'data: {"choices": [nonsense\n\n',
  'sends a frame outside the protocol': 'data: {"hello":"world"}\n\n',
  'sends no usage': 'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n',
  'sends null usage': 'data: {"choices":[],"usage":null}\n\n',
  'sends negative usage': textChunk('three', usageOf(10, -3)),
  'reports more cached than prompt tokens': textChunk('three', usageOf(10, 3, 11)),
};

const BREAKS: Record<string, Break> = {
  ...BREAKS_OF_CHUNKS,
  'sends a malformed mark': ': u nonsense\n\n',
  'sends a mark with negative usage': ': u 10,0,-3,0,3,5\n\n',
  'sends a mark with more cached than prompt tokens': ': u 10,11,3,0,3,5\n\n',
  'sends a malformed end': ': end {"ended":\n\n',
  'waits for more than was asked for': ': u 10,0,2,0,0,5,90000000\n\n',
  'is cut': new Error('reset'),
  'ends without [DONE]': '',
  'goes silent': null,
  'sends a byte now and then': trickle,
  'reports that it failed': { error: { code: 'engine_failed', message: 'scripted' } },
};

async function add(model: string, script: Script, name = ''): Promise<FakeNode> {
  const node = await network().add(model, script);
  node.isOld = name in BREAKS_OF_CHUNKS;
  return node;
}

/** The ledger entries of a request, in nano-USD. */
async function chargesFor(requestId: string): Promise<number[]> {
  const { entries } = await customer.wallet.ledger({ limit: 1_000 });
  return entries.filter((entry) => entry.reference === requestId).map((entry) => entry.grantedNanoUsd);
}

describe('a stream whose node', () => {
  it.each(Object.entries(BREAKS))(
    '%s ends with an error event and a bill for what was delivered',
    async (name, fault) => {
      const model = newModel();
      const node = await add(model, breaking(fault), name);
      await add(model, breaking(fault), name);
      const { status, events, chunks, content, record } = await customer.ask(
        { model, stream: true },
        { using },
      );
      expect(status).toBe(200);
      expect(content).toBe('One two ');
      expect(events).not.toContain('[DONE]');
      expect(chunks.at(-1)!.error).toMatchObject({ type: 'server_error', code: 'node_failed', param: null });
      expect(chunks.at(-1)!.error!.message).toMatch(/only the tokens you received were charged/i);
      expect(chunks.some(({ usage }) => usage)).toBe(false);
      expect(record).toMatchObject({ state: 'posted', ending: 'node_failed', chargeNanoUsd: costOf(10, 2) });
      expect((await customer.balance()).heldNanoUsd).toBe(0);
      // no second node is tried after the first byte
      expect(network().calls).toHaveLength(1);
      const { nodes } = await env.POOL.getByName(model).snapshot();
      expect(nodes.map(({ health }) => health)).toEqual(['up', 'up']);
      expect([node.id, nodes.find(({ id }) => id !== node.id)!.id]).toContain(record!.nodeId);
      // its account avoids the node, and blame.test.ts says when all do
      await customer.ask({ model, stream: true }, { using });
      expect(new Set(network().calls).size).toBe(2);
    },
  );

  it.each(Object.entries(BREAKS))('%s before any output costs nothing', async (name, fault) => {
    const model = newModel();
    const counted: Step = { choices: [], usage: usageOf(10, 2) };
    await add(model, breaking(fault, [counted]), name);
    const { events, chunks, requestId, record } = await customer.ask({ model, stream: true }, { using });
    expect(events).not.toContain('[DONE]');
    expect(chunks[0]!.error!.message).toMatch(/nothing was charged/i);
    expect(record).toMatchObject({ state: 'voided', ending: 'node_failed', chargeNanoUsd: 0 });
    expect(await chargesFor(requestId)).toEqual([]);
  });
});

describe('a whole answer whose node', () => {
  const GOOD = { prompt: 10, content: ['Well ', 'said ', 'then.'] };

  it.each(Object.entries(BREAKS))('%s is served by another node and billed once', async (name, fault) => {
    const model = newModel();
    let attempts = 0;
    const script: Script = (request) => (attempts++ === 0 ? breaking(fault)(request) : stream(answer(GOOD)));
    for (let i = 0; i < 3; i++) await add(model, script, name);
    const { status, content, chunks, requestId, record } = await customer.ask({ model }, { using });
    expect(status).toBe(200);
    expect(content).toBe('Well said then.');
    expect(chunks).toHaveLength(1);
    expect(chunks[0]!.usage).toMatchObject({ completion_tokens: 3, cost: toUsdNumber(costOf(10, 3)) });
    expect(network().calls).toHaveLength(2);
    expect(record).toMatchObject({ state: 'posted', ending: 'finished', chargeNanoUsd: costOf(10, 3) });
    expect(await chargesFor(requestId)).toEqual([-costOf(10, 3)]);
  });

  it.each([1, 5])('breaks off becomes an error when none of %i nodes can complete it', async (nodes) => {
    const model = newModel();
    for (let i = 0; i < nodes; i++) await network().add(model, breaking(new Error('reset')));
    const { status, chunks, record } = await customer.ask({ model });
    expect(status).toBe(502);
    expect(chunks[0]!.error).toMatchObject({ code: 'node_failed' });
    expect(new Set(network().calls).size).toBe(Math.min(3, nodes));
    expect(network().calls).toHaveLength(Math.min(3, nodes));
    expect(record).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });
  });

  it('breaks off is billed in full although the first node trimmed the hold', async () => {
    const model = newModel();
    // a prompt with far fewer tokens than bytes, so that its first count trims the hold by a lot
    const messages = [{ role: 'user', content: 'x'.repeat(20_000) }];
    const words = Array.from({ length: 1_500 }, (_, i) => `${i} `);
    let attempts = 0;
    const heldNanoUsd = async () => (await tight.balance()).heldNanoUsd;
    const script: Script = async () => {
      if (attempts++ > 0) return stream(answer({ prompt: 200, content: words }));
      const heldAtFirst = await heldNanoUsd();
      const steps = async function* () {
        yield textChunk('One ', usageOf(200, 1));
        // waits until the Wallet has trimmed the hold
        await waitFor(async () => expect(await heldNanoUsd()).toBeLessThan(heldAtFirst));
        yield new Error('reset');
      };
      return stream(steps());
    };
    for (let i = 0; i < 2; i++) await network().add(model, script);
    const tight = await Customer.withCredit(costOf(30_000, 3_000));
    const { status, chunks, record } = await tight.ask({ model, messages, max_tokens: 4_000 });
    expect(status).toBe(200);
    expect(chunks[0]!.usage).toMatchObject({ prompt_tokens: 200, completion_tokens: 1_500 });
    expect(record).toMatchObject({ usage: { completionTokens: 1_500 }, chargeNanoUsd: costOf(200, 1_500) });
  });
});

describe('implausible usage', () => {
  async function billed(steps: Step[], body: object = {}, isOld = false) {
    const model = newModel();
    const node = await network().add(model, [...steps, DONE]);
    node.isOld = isOld;
    const { chunks, record } = await customer.ask({ model, stream: true, ...body });
    return { usage: chunks.at(-1)!.usage, record: record! };
  }

  it('never shrinks', async () => {
    const { usage, record } = await billed([
      textChunk('a', usageOf(10, 5, 4)),
      textChunk('b', usageOf(2, 3, 1)),
    ]);
    expect(usage).toMatchObject({ prompt_tokens: 10, prompt_cache_hit_tokens: 4, completion_tokens: 5 });
    expect(record.chargeNanoUsd).toBe(costOf(10, 5, 4));
  });

  it('may report the prompt late', async () => {
    const { record } = await billed([textChunk('a', usageOf(0, 1)), textChunk('b', usageOf(10, 2, 4))]);
    expect(record.chargeNanoUsd).toBe(costOf(10, 2, 4));
  });

  it('never exceeds the requested maximum', async () => {
    const asked = { max_tokens: 50, n: 2 };
    const { usage, record } = await billed([textChunk('a', usageOf(10, 90_000_000))], asked, true);
    expect(usage).toMatchObject({ completion_tokens: 100 });
    expect(record.chargeNanoUsd).toBe(costOf(10, 100));
  });

  it('of an empty answer costs nothing', async () => {
    const finish = {
      choices: [{ index: 0, delta: {}, finish_reason: 'stop' as const }],
      usage: usageOf(10, 0),
    };
    const { usage, record } = await billed([finish]);
    expect(usage).toMatchObject({ prompt_tokens: 10, completion_tokens: 0, cost: toUsdNumber(costOf(0, 0)) });
    expect(record).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });
  });
});
