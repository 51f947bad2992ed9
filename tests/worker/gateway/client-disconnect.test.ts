/** Clients that disconnect: the engine is asked to stop, and what it generated until then is billed once. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  answer,
  DONE,
  endless,
  freshNetwork,
  type Step,
  stream,
  textChunk,
  usageOf,
  wait,
} from '../fake-node.ts';
import { waitFor } from '../wait.ts';
import { Customer, costOf, env, newModel } from './client.ts';

const network = freshNetwork();
afterEach(() => {
  vi.useRealTimers();
});

const decode = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

describe('a client that disconnects', () => {
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

  it('by aborting a request that is not streamed is billed the same way', async () => {
    const model = newModel();
    let generated = 0;
    const node = await network().add(model, ({ stop }) => {
      const steps = async function* (): AsyncGenerator<Step> {
        for (; !stop.aborted; await wait(2)) {
          generated += 1;
          yield textChunk(`${generated} `, usageOf(10, generated));
        }
        yield { choices: [], usage: usageOf(10, generated) };
        yield DONE;
      };
      return stream(steps());
    });
    const customer = await Customer.withCredit();
    const client = new AbortController();
    const sending = customer.send({ model }, { signal: client.signal });
    // by the time it pulls the fifth token, the edge has read the first one
    await waitFor(() => expect(generated).toBeGreaterThanOrEqual(5), { interval: 1 });
    client.abort();
    const { response, requestId, settled } = await sending;
    await response.text();
    await settled();
    expect(node.aborts).toEqual([requestId]);
    const record = (await customer.wallet.request(requestId))!;
    expect(record).toMatchObject({ state: 'posted', ending: 'client_gone' });
    expect(record.usage.completionTokens).toBeGreaterThan(0);
    expect(record.usage.completionTokens).toBeLessThan(100);
  });

  it('pays for the final count after the stop, not for the last one that was delivered', async () => {
    const model = newModel();
    await network().add(model, ({ stop }) => {
      const steps = async function* (): AsyncGenerator<Step> {
        yield textChunk('One ', usageOf(10, 1));
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
          yield textChunk('x', usageOf(10, n));
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
    expect(node.received[0]!.stop.aborted).toBe(true);
  });

  it('before the first token pays nothing; the connection to the node is closed, and the node is not blamed', async () => {
    const model = newModel();
    const node = await network().add(model, () => new Promise(() => undefined));
    await network().add(model, () => new Promise(() => undefined));
    const customer = await Customer.withCredit();
    const client = new AbortController();
    const sending = customer.send({ model, stream: true }, { signal: client.signal });
    const received = () => network().nodes.flatMap((each) => each.received);
    await waitFor(() => expect(received()).toHaveLength(1));
    client.abort();
    const { requestId, settled } = await sending;
    await settled();
    expect(received()).toHaveLength(1);
    expect(received()[0]!.stop.aborted).toBe(true);
    expect(await customer.wallet.request(requestId)).toMatchObject({ state: 'voided', chargeNanoUsd: 0 });
    const { nodes } = await env.POOL.getByName(model).snapshot();
    expect(nodes.map(({ health }) => health)).toEqual(['up', 'up']);
    expect(nodes.map(({ id }) => id)).toContain(node.id);
  });

  it('after the end changes nothing', async () => {
    const model = newModel();
    const node = await network().add(model, () => stream(answer({ content: ['Hi'] })));
    const customer = await Customer.withCredit();
    const client = new AbortController();
    const { record } = await customer.ask({ model, stream: true }, { signal: client.signal });
    client.abort();
    expect(record).toMatchObject({ ending: 'finished', chargeNanoUsd: costOf(10, 1) });
    expect(node.aborts).toEqual([]);
  });
});
