/**
 * Credit during an answer: the answer ends where credit does; while there is credit, the hold grows ahead of need
 * unnoticed.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type NanoUsd, nanoUsd, usd } from '../../../worker/domain/money.ts';
import { Wallet } from '../../../worker/wallet/wallet.ts';
import { answer, DONE, endless, freshNetwork, stream, textChunk, usageOf } from '../fake-node.ts';
import { waitFor } from '../wait.ts';
import { Customer, costOf, env, newModel, PRICE } from './client.ts';

const network = freshNetwork();
const words = (count: number) => Array.from({ length: count }, (_, i) => `${i} `);
const holdOf = async (customer: Customer) => (await customer.balance()).heldNanoUsd;

let resizes: { wantedNanoUsd: NanoUsd }[];
beforeEach(() => {
  resizes = [];
  const real = Wallet.prototype.resize;
  vi.spyOn(Wallet.prototype, 'resize').mockImplementation(function (this: Wallet, request) {
    resizes.push(request);
    return real.call(this, request);
  });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('credit for ten tokens', () => {
  const credit = nanoUsd(costOf(10, 10) + PRICE.output - 1);

  it('buys exactly ten, with a clear finish reason, and the engine is stopped', async () => {
    const model = newModel();
    const node = await network().add(model, endless(10));
    const customer = await Customer.withCredit(credit);
    const { status, content, chunks, events, requestId, record } = await customer.ask({
      model,
      stream: true,
    });
    expect(status).toBe(200);
    expect(content).toBe('1 2 3 4 5 6 7 8 9 10 ');
    expect(events.at(-1)).toBe('[DONE]');
    expect(chunks.some(({ error }) => error)).toBe(false);
    expect(chunks.at(-1)).toMatchObject({
      choices: [{ finish_reason: 'length' }],
      usage: { prompt_tokens: 10, completion_tokens: 10 },
      tollgate: { stop: 'insufficient_balance' },
    });
    expect(record).toMatchObject({
      state: 'posted',
      ending: 'insufficient_balance',
      chargeNanoUsd: costOf(10, 10),
    });
    expect(await customer.balance()).toMatchObject({
      grantedNanoUsd: PRICE.output - 1,
      heldNanoUsd: 0,
      availableNanoUsd: PRICE.output - 1,
    });
    expect(node.aborts).toEqual([requestId]);
    // the node is not to blame
    expect((await env.POOL.getByName(model).snapshot()).nodes[0]!.health).toBe('up');
  });

  it('stops the engine when it runs out, even if the client reads nothing', async () => {
    const model = newModel();
    const node = await network().add(model, endless(10));
    const customer = await Customer.withCredit(nanoUsd(costOf(10, 300)));
    const { response, requestId } = await customer.send({ model, stream: true });
    await waitFor(() => expect(node.aborts).toEqual([requestId]));
    expect(await response.text()).toContain('"completion_tokens":300');
  });

  it('buys the same ten in an answer that is not streamed', async () => {
    const model = newModel();
    const node = await network().add(model, endless(10));
    const customer = await Customer.withCredit(credit);
    const { content, chunks, requestId, record } = await customer.ask({ model });
    expect(content).toBe('1 2 3 4 5 6 7 8 9 10 ');
    expect(chunks[0]).toMatchObject({
      choices: [{ finish_reason: 'length' }],
      usage: { completion_tokens: 10 },
      tollgate: { stop: 'insufficient_balance' },
    });
    expect(record?.chargeNanoUsd).toBe(costOf(10, 10));
    expect(node.aborts).toEqual([requestId]);
  });

  it('is enough for an answer of ten tokens, which finishes by itself', async () => {
    const model = newModel();
    const node = await network().add(model, () => stream(answer({ content: words(10) })));
    const customer = await Customer.withCredit(costOf(10, 10));
    const { chunks, record } = await customer.ask({ model, stream: true });
    expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe('stop');
    expect(chunks.at(-1)).not.toHaveProperty('tollgate');
    expect(record).toMatchObject({ ending: 'finished' });
    expect((await customer.balance()).availableNanoUsd).toBe(0);
    expect(node.aborts).toEqual([]);
  });

  it('buys more tokens with a cached prompt', async () => {
    const model = newModel();
    await network().add(model, () => stream(answer({ prompt: 10, cached: 10, content: words(30) })));
    const { record } = await (await Customer.withCredit(credit)).ask({ model, stream: true });
    // 26,999 − 10 × 100 is 12 whole tokens
    expect(record).toMatchObject({ usage: { completionTokens: 12 }, chargeNanoUsd: costOf(10, 12, 10) });
  });

  it.each([true, false])(
    'is not charged where the prompt alone is more: 402 says what was missing (stream: %s)',
    async (streamed) => {
      const model = newModel();
      await network().add(model, () => stream(answer({ prompt: 100, content: words(30) })));
      const customer = await Customer.withCredit(credit);
      const { status, chunks, record } = await customer.ask({ model, stream: streamed });
      expect(status).toBe(402);
      expect(chunks[0]!.error).toMatchObject({ code: 'insufficient_balance' });
      expect(chunks[0]!.error!.message).toContain('needs at least $0.000052');
      expect(record).toMatchObject({ state: 'voided', ending: 'insufficient_balance', chargeNanoUsd: 0 });
      expect((await customer.balance()).availableNanoUsd).toBe(credit);
    },
  );

  it('names the cap that ran out, in the error, the answer and the request', async () => {
    const model = newModel();
    const prompts = [100, 10];
    await network().add(model, () => stream(answer({ prompt: prompts.shift()!, content: words(30) })));
    const customer = await Customer.withCredit(usd(5), { capNanoUsd: credit, capPeriod: 'total' });
    const empty = await customer.ask({ model, stream: true });
    expect([empty.status, empty.chunks[0]!.error!.code]).toEqual([402, 'key_cap_reached']);
    expect(empty.record).toMatchObject({ ending: 'key_cap_reached', chargeNanoUsd: 0 });
    const cut = await customer.ask({ model, stream: true });
    expect(cut.chunks.at(-1)).toMatchObject({ tollgate: { stop: 'key_cap_reached' } });
    expect(cut.record).toMatchObject({ ending: 'key_cap_reached', chargeNanoUsd: costOf(10, 10) });
  });

  it('ends an answer even if the abort call to the node fails', async () => {
    const model = newModel();
    const node = await network().add(model, endless(10));
    const serve = node.serve.bind(node);
    vi.spyOn(node, 'serve').mockImplementation((url, init) =>
      url.pathname === '/v1/abort' ? Promise.reject(new TypeError('reset')) : serve(url, init),
    );
    const { events, record } = await (await Customer.withCredit(credit)).ask({ model, stream: true });
    expect(events.at(-1)).toBe('[DONE]');
    expect(record).toMatchObject({ ending: 'insufficient_balance' });
    // closing the connection aborts the request, too
    await waitFor(() => expect(node.received[0]!.stop.aborted).toBe(true));
  });

  it('ends all choices of an answer at the same time', async () => {
    const model = newModel();
    const both = (n: number) => ({
      choices: [0, 1].map((index) => ({ index, delta: { content: 'x' }, finish_reason: null })),
      usage: usageOf(10, n),
    });
    await network().add(model, [2, 4, 6, 8, 10, 12].map(both).concat());
    const { chunks, record } = await (await Customer.withCredit(credit)).ask({ model, stream: true, n: 2 });
    const ends = chunks.flatMap(({ choices }) => choices).filter(({ finish_reason }) => finish_reason);
    expect(ends.map(({ index, finish_reason }) => [index, finish_reason])).toEqual([
      [0, 'length'],
      [1, 'length'],
    ]);
    expect(record).toMatchObject({ usage: { completionTokens: 10 }, ending: 'insufficient_balance' });
  });
});

describe('a hold', () => {
  it('grows with a long answer in few calls, and the whole answer is billed', async () => {
    const model = newModel();
    const node = await network().add(model, () => stream(answer({ content: words(3_500) })));
    const customer = await Customer.withCredit(usd(5));
    const { content, record } = await customer.ask({ model, stream: true });
    expect(content.split(' ')).toHaveLength(3_501);
    expect(record).toMatchObject({ ending: 'finished', chargeNanoUsd: costOf(10, 3_500) });
    expect(node.aborts).toEqual([]);
    // beyond the first 1,024 tokens, at most one for each half window
    expect(resizes.length).toBeGreaterThanOrEqual(3);
    expect(resizes.length).toBeLessThanOrEqual(8);
    expect(await holdOf(customer)).toBe(0);
  });

  it('waits for the Wallet when usage jumps past it', async () => {
    const model = newModel();
    await network().add(model, [textChunk('a', usageOf(10, 1)), textChunk('b', usageOf(10, 5_000)), DONE]);
    const { content, record } = await (await Customer.withCredit()).ask({ model, stream: true });
    expect(content).toBe('ab');
    expect(record).toMatchObject({ ending: 'finished', chargeNanoUsd: costOf(10, 5_000) });
  });

  it('that cannot grow to a huge usage bills what it covered before', async () => {
    const model = newModel();
    await network().add(model, [textChunk('a', usageOf(10, 1)), textChunk('b', usageOf(10, 5_000)), DONE]);
    const customer = await Customer.withCredit(costOf(10, 100));
    const { content, record } = await customer.ask({ model, stream: true });
    expect(content).toBe('a');
    expect(record).toMatchObject({ ending: 'insufficient_balance', chargeNanoUsd: costOf(10, 1) });
    expect((await customer.balance()).availableNanoUsd).toBe(costOf(10, 100) - costOf(10, 1));
  });

  it('is not resized while the balance is ample', async () => {
    const model = newModel();
    await network().add(model, () => stream(answer({ content: words(20) })));
    await (await Customer.withCredit(usd(5))).ask({ model, stream: true });
    expect(resizes).toEqual([]);
  });

  it('is trimmed to the exact prompt at the first count when the balance is tight', async () => {
    const model = newModel();
    const { promise: trimmed, resolve: proceed } = Promise.withResolvers<void>();
    const steps = async function* () {
      yield textChunk('a', usageOf(10, 1));
      await trimmed;
      yield* answer({ content: words(2) });
    };
    await network().add(model, () => stream(steps()));
    const customer = await Customer.withCredit(costOf(3_000, 100));
    const messages = [{ role: 'user', content: 'x'.repeat(2_000) }];
    const sent = await customer.send({ model, stream: true, messages, max_tokens: 100 });
    // the first chunk is sent only when it is read
    const reader = sent.response.body!.getReader();
    await reader.read();
    await waitFor(async () => expect(await holdOf(customer)).toBe(costOf(10, 100)));
    expect(resizes).toHaveLength(1);
    proceed();
    while (!(await reader.read()).done);
    await sent.settled();
    expect(resizes).toHaveLength(1);
    expect(await holdOf(customer)).toBe(0);
  });

  it('is renewed before it expires, however slow the answer', async () => {
    const model = newModel();
    const steps = async function* () {
      yield textChunk('a', usageOf(10, 1));
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 21_000 });
      yield textChunk('b', usageOf(10, 2));
      await waitFor(() => expect(resizes).toHaveLength(1));
      yield DONE;
    };
    await network().add(model, () => stream(steps()));
    const { record } = await (await Customer.withCredit(usd(5))).ask({ model, stream: true });
    expect(record).toMatchObject({ ending: 'finished' });
    expect(resizes).toHaveLength(1);
  });

  it('survives one failure of the Wallet to grow it', async () => {
    const model = newModel();
    await network().add(model, () => stream(answer({ content: words(1_500) })));
    const customer = await Customer.withCredit();
    let calls = 0;
    const resize = (request: { requestId: string; wantedNanoUsd: NanoUsd; tokens: number | null }) => {
      calls += 1;
      return calls === 1 ? Promise.reject(new Error('this Wallet is down')) : customer.wallet.resize(request);
    };
    const getByName = (name: string) =>
      new Proxy(env.WALLET.getByName(name), {
        get: (wallet, call) => (call === 'resize' ? resize : Reflect.get(wallet, call)),
      });
    const using = { ...env, WALLET: { getByName } as unknown as typeof env.WALLET };
    const { content, record } = await customer.ask({ model, stream: true }, { using });
    expect(calls).toBeGreaterThan(1);
    expect(content.split(' ')).toHaveLength(1_501);
    expect(record).toMatchObject({ ending: 'finished', chargeNanoUsd: costOf(10, 1_500) });
  });
});

describe('a request that cannot be paid for', () => {
  it('is rejected with 402 before it reaches any node', async () => {
    const model = newModel();
    await network().add(model, () => stream(answer({ content: words(2) })));
    const { status, headers, chunks } = await (await Customer.withCredit(nanoUsd(100))).ask({ model });
    expect(status).toBe(402);
    expect(headers.get('x-should-retry')).toBe('false');
    expect(chunks[0]!.error).toMatchObject({ code: 'insufficient_balance' });
    expect(chunks[0]!.error!.message).toContain('https://tollgate.test/billing');
    expect(network().calls).toEqual([]);
  });

  it('is rejected with 402 when the key has reached its cap, and the error names the cap', async () => {
    const model = newModel();
    await network().add(model, () => stream(answer({ content: words(2) })));
    const customer = await Customer.withCredit(usd(5), { capNanoUsd: costOf(10, 3), capPeriod: 'day' });
    const first = await customer.ask({ model });
    expect(first.record).toMatchObject({ chargeNanoUsd: costOf(10, 2) });
    await customer.ask({ model });
    const { status, chunks } = await customer.ask({ model });
    expect(status).toBe(402);
    expect(chunks[0]!.error).toMatchObject({ code: 'key_cap_reached' });
  });

  describe('while another one holds the rest of the cap', () => {
    /** A stream that has begun, holds the whole cap, and ends when `finish` is called. */
    async function holding() {
      const model = newModel();
      const { promise: over, resolve: finish } = Promise.withResolvers<void>();
      const steps = async function* () {
        yield textChunk('a', usageOf(10, 1));
        await over;
        yield DONE;
      };
      let served = 0;
      await network().add(model, () => stream(served++ === 0 ? steps() : answer({ content: words(2) })));
      const customer = await Customer.withCredit(usd(5), { capNanoUsd: costOf(10, 5), capPeriod: 'day' });
      const first = await customer.send({ model, stream: true });
      const reader = first.response.body!.getReader();
      await reader.read();
      const end = async () => {
        finish();
        while (!(await reader.read()).done);
        await first.settled();
      };
      return { model, customer, end };
    }

    it('waits, and is served when the room comes back', async () => {
      const { model, customer, end } = await holding();
      const waits = vi.spyOn(scheduler, 'wait').mockImplementationOnce(end);
      const second = await customer.ask({ model });
      expect(waits).toHaveBeenCalledWith(300);
      waits.mockRestore();
      expect(second.status).toBe(200);
    });

    it('is rejected with 429 when the room does not come back within a moment, and the error says who holds it', async () => {
      const { model, customer, end } = await holding();
      const waits = vi.spyOn(scheduler, 'wait').mockResolvedValue(undefined);
      const { status, headers, chunks } = await customer.ask({ model });
      expect(waits.mock.calls.reduce((sum, [ms]) => sum + ms, 0)).toBe(3_000);
      waits.mockRestore();
      expect([status, headers.get('retry-after')]).toEqual([429, '2']);
      expect(chunks[0]!.error).toMatchObject({ type: 'rate_limit_exceeded', code: 'held_by_requests' });
      expect(chunks[0]!.error!.message).toContain(
        'hold the rest of the key’s cap: of $0.000015, $0.000015 is held',
      );
      await end();
    });
  });
});
