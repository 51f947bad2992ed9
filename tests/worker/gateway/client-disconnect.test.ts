/** A client that leaves: the engine is told to stop, what it generated until then is billed, once. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { clientStream } from '../../../worker/gateway/stream/client-stream.ts';
import { answer, DONE, endless, freshNetwork, type Step, said, stream, usageOf, wait } from '../fake-node.ts';
import { Customer, costOf, env, newModel } from './client.ts';

const network = freshNetwork();
afterEach(() => {
  vi.useRealTimers();
});

const decode = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

describe('a client that leaves', () => {
  it('by closing a stream stops the engine and pays for its final count', async () => {
    const model = newModel();
    const node = await network().add(model, endless());
    const customer = await Customer.withCredit();
    const { response, requestId, settled } = await customer.send({ model, stream: true });
    const reader = response.body!.getReader();
    let text = '';
    while (!text.includes('"5 "')) text += decode((await reader.read()).value);
    await reader.cancel();
    await settled();

    expect(node.aborts).toEqual([requestId]);
    const record = (await customer.wallet.request(requestId))!;
    expect(record).toMatchObject({ state: 'posted', ending: 'client_gone', nodeId: node.id });
    expect(record.usage.completionTokens).toBeGreaterThanOrEqual(5);
    expect(record.usage.completionTokens).toBeLessThan(100);
    expect(record.chargeNanoUsd).toBe(costOf(10, record.usage.completionTokens));
    expect((await customer.balance()).heldNanoUsd).toBe(0);
    expect((await env.POOL.getByName(model).snapshot()).nodes[0]!.health).toBe('up');
  });

  it('by aborting a request for a whole answer is billed the same way', async () => {
    const model = newModel();
    const node = await network().add(model, endless());
    const customer = await Customer.withCredit();
    const leaving = new AbortController();
    const sending = customer.send({ model }, { signal: leaving.signal });
    await vi.waitFor(() => expect(node.asked).toHaveLength(1));
    await wait(30);
    leaving.abort();
    const { response, requestId, settled } = await sending;
    await response.text();
    await settled();
    expect(node.aborts).toEqual([requestId]);
    const record = (await customer.wallet.request(requestId))!;
    expect(record).toMatchObject({ state: 'posted', ending: 'client_gone' });
    expect(record.usage.completionTokens).toBeGreaterThan(0);
    expect(record.usage.completionTokens).toBeLessThan(100);
  });

  it('pays the last count that comes after the stop, not the last that was delivered', async () => {
    const model = newModel();
    await network().add(model, ({ stop }) => {
      const steps = async function* (): AsyncGenerator<Step> {
        yield said('One ', usageOf(10, 1));
        await new Promise((resolve) => stop.addEventListener('abort', resolve));
        yield { choices: [], usage: usageOf(10, 7, 4) };
        yield DONE;
      };
      return stream(steps());
    });
    const customer = await Customer.withCredit();
    const { response, requestId, settled } = await customer.send({ model, stream: true });
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    await settled();
    expect(await customer.wallet.request(requestId)).toMatchObject({
      ending: 'client_gone',
      chargeNanoUsd: costOf(10, 7, 4),
    });
  });

  it('is not billed for what a node generates ten seconds after it should have stopped', async () => {
    const model = newModel();
    const node = await network().add(model, () => {
      const steps = async function* (): AsyncGenerator<Step> {
        for (let n = 1; n < 1_000; n++) {
          yield said('x', usageOf(10, n));
          await wait(1);
          if (node.aborts.length > 0) {
            vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2_000 });
          }
        }
        yield DONE;
      };
      return stream(steps());
    });
    const customer = await Customer.withCredit();
    const { response, requestId, settled } = await customer.send({ model, stream: true });
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    await settled();
    const record = (await customer.wallet.request(requestId))!;
    expect(record).toMatchObject({ state: 'posted', ending: 'client_gone' });
    expect(record.usage.completionTokens).toBeLessThan(100);
    expect(node.asked[0]!.stop.aborted).toBe(true);
  });

  it('before the first token costs nothing, and the node is hung up on but not blamed', async () => {
    const model = newModel();
    const node = await network().add(model, () => new Promise(() => undefined));
    await network().add(model, () => new Promise(() => undefined));
    const customer = await Customer.withCredit();
    const leaving = new AbortController();
    const sending = customer.send({ model, stream: true }, { signal: leaving.signal });
    const asked = () => network().nodes.flatMap((each) => each.asked);
    await vi.waitFor(() => expect(asked()).toHaveLength(1));
    leaving.abort();
    const { requestId, settled } = await sending;
    await settled();
    expect(asked()).toHaveLength(1);
    expect(asked()[0]!.stop.aborted).toBe(true);
    expect(await customer.wallet.request(requestId)).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });
    const { nodes } = await env.POOL.getByName(model).snapshot();
    expect(nodes.map(({ health }) => health)).toEqual(['up', 'up']);
    expect(nodes.map(({ id }) => id)).toContain(node.id);
  });

  it('after the end changes nothing', async () => {
    const model = newModel();
    const node = await network().add(model, () => stream(answer({ content: ['Hi'] })));
    const customer = await Customer.withCredit();
    const leaving = new AbortController();
    const { record } = await customer.ask({ model, stream: true }, { signal: leaving.signal });
    leaving.abort();
    expect(record).toMatchObject({ ending: 'finished', chargeNanoUsd: costOf(10, 1) });
    expect(node.aborts).toEqual([]);
  });
});

describe('the body of an answer', () => {
  it('has ended only when its source has, though the client left in the middle of a pull', async () => {
    let finish = () => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const source = async function* () {
      await wait(5);
      yield 'second';
      await finished;
    };
    let gone = false;
    const { body, ended } = clientStream('first', source(), () => {
      gone = true;
    });
    let over = false;
    void ended.then(() => {
      over = true;
    });
    const reader = body.getReader();
    await reader.read();
    const pull = reader.read();
    const cancelled = reader.cancel();
    await pull;
    expect(gone).toBe(true);
    await wait(20);
    expect(over).toBe(false);
    finish();
    await Promise.all([ended, cancelled]);
  });
});
