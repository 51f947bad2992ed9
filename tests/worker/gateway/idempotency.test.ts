/** Idempotency-Key: a retry gets the same response and is never billed twice, however the first request ended. */
import { evictDurableObject, runInDurableObject } from 'cloudflare:test';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { usd } from '../../../worker/domain/money.ts';
import { answer, endless, freshNetwork, type Script, stream, textChunk, usageOf } from '../fake-node.ts';
import { Customer, costOf, newModel } from './client.ts';

const network = freshNetwork();
afterEach(() => {
  vi.useRealTimers();
});

/** Answers every request. */
const answering = (): Script => () => stream(answer({ content: ['Hello', ' there'] }));
const withKey = (key: string) => ({ headers: { 'idempotency-key': key } });

async function charges(customer: Customer): Promise<[string, number][]> {
  const { entries } = await customer.wallet.ledger({ limit: 50 });
  return entries
    .filter(({ kind }) => kind !== 'grant')
    .map(({ kind, grantedNanoUsd, paidNanoUsd }): [string, number] => [kind, grantedNanoUsd + paidNanoUsd])
    .reverse();
}

describe('a retry with the same Idempotency-Key', () => {
  it.each([[true], [false]])('gets the same answer, billed once (stream: %s)', async (streamed) => {
    const model = newModel();
    const node = await network().add(model, answering());
    const customer = await Customer.withCredit();
    const first = await customer.ask({ model, stream: streamed }, withKey('order-1'));
    await evictDurableObject(customer.wallet);
    const second = await customer.ask({ model, stream: streamed }, withKey('order-1'));

    expect(second.status).toBe(200);
    expect(second.text).toBe(first.text);
    expect(second.requestId).toBe(first.requestId);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
    expect(node.received).toHaveLength(1);
    expect(await charges(customer)).toHaveLength(1);
  });

  it('runs again under another key, and without one', async () => {
    const model = newModel();
    const node = await network().add(model, answering());
    const customer = await Customer.withCredit();
    await customer.ask({ model }, withKey('a'));
    await customer.ask({ model }, withKey('b'));
    await customer.ask({ model });
    expect(node.received).toHaveLength(3);
  });

  it('is rejected with another body, and by another API key', async () => {
    const model = newModel();
    const node = await network().add(model, answering());
    const customer = await Customer.withCredit();
    await customer.ask({ model }, withKey('order-1'));
    const other = await customer.ask({ model, temperature: 1 }, withKey('order-1'));
    expect(other.status).toBe(422);
    expect(other.chunks[0]!.error).toMatchObject({ type: 'idempotency_error', code: 'idempotency_mismatch' });
    expect(other.headers.get('x-should-retry')).toBe('false');
    expect(node.received).toHaveLength(1);
  });

  it('has no effect on another account', async () => {
    const model = newModel();
    const node = await network().add(model, answering());
    const [one, two] = [await Customer.withCredit(), await Customer.withCredit()];
    const first = await one.ask({ model }, withKey('order-1'));
    const second = await two.ask({ model }, withKey('order-1'));
    expect(second.requestId).not.toBe(first.requestId);
    expect(node.received).toHaveLength(2);
  });

  it('gets a Retry-After while the first request runs', async () => {
    const model = newModel();
    await network().add(model, endless());
    const customer = await Customer.withCredit();
    const { response, settled } = await customer.send({ model, stream: true }, withKey('order-1'));
    const reader = response.body!.getReader();
    await reader.read();
    const second = await customer.ask({ model, stream: true }, withKey('order-1'));
    expect(second.status).toBe(409);
    expect(second.headers.get('retry-after')).toBe('1');
    expect(second.chunks[0]!.error).toMatchObject({ type: 'idempotency_error', code: 'idempotency_running' });
    await reader.cancel();
    await settled();
  });

  it('runs again when the first answer broke off, and the cheaper run is refunded', async () => {
    const model = newModel();
    const node = await network().add(model, [textChunk('Half ', usageOf(10, 3)), new Error('cut')]);
    const customer = await Customer.withCredit();
    const first = await customer.ask({ model, stream: true }, withKey('order-1'));
    expect(first.chunks.at(-1)!.error).toBeDefined();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
    node.script = answering();
    await node.report();
    const second = await customer.ask({ model, stream: true }, withKey('order-1'));
    expect(second.events.at(-1)).toBe('[DONE]');
    expect(node.received).toHaveLength(2);
    // only the more expensive run is paid: three tokens, not five
    expect(await charges(customer)).toEqual([
      ['charge', -costOf(10, 3)],
      ['charge', -costOf(10, 2)],
      ['correction', costOf(10, 2)],
    ]);
    const third = await customer.ask({ model, stream: true }, withKey('order-1'));
    expect(third.text).toBe(second.text);
    expect(await charges(customer)).toHaveLength(3);
  });

  it('runs again when the client had disconnected, and is paid once', async () => {
    const model = newModel();
    await network().add(model, endless());
    const customer = await Customer.withCredit();
    const { response, settled } = await customer.send({ model, stream: true }, withKey('order-1'));
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    await settled();
    const [first] = await charges(customer);
    const again = await customer.send({ model, stream: true }, withKey('order-1'));
    expect(again.response.status).toBe(200);
    expect(again.response.headers.get('idempotent-replayed')).toBeNull();
    const secondReader = again.response.body!.getReader();
    for (let i = 0; i < 40; i++) await secondReader.read();
    await secondReader.cancel();
    await again.settled();
    const [, second, refund] = await charges(customer);
    expect(second![1]).toBeLessThan(first![1]);
    expect(refund).toEqual(['correction', -first![1]]);
  });

  it('refunds nothing for a retry that costs nothing', async () => {
    const model = newModel();
    await network().add(model, endless());
    const customer = await Customer.withCredit(usd(5), { requestsPerMinute: 1 });
    const { response, settled } = await customer.send({ model, stream: true }, withKey('order-1'));
    const reader = response.body!.getReader();
    for (let i = 0; i < 20; i++) await reader.read();
    await reader.cancel();
    await settled();
    const before = await charges(customer);
    for (let i = 0; i < 5; i++) {
      expect((await customer.ask({ model, stream: true }, withKey('order-1'))).status).toBe(429);
    }
    expect(await charges(customer)).toEqual(before);
  });

  it('is rejected after three runs whose answers were lost', async () => {
    const model = newModel();
    await network().add(model, endless());
    const customer = await Customer.withCredit();
    for (let run = 0; run < 3; run++) {
      const { response, settled } = await customer.send({ model, stream: true }, withKey('order-1'));
      expect(response.status).toBe(200);
      const reader = response.body!.getReader();
      await reader.read();
      await reader.cancel();
      await settled();
    }
    const rejected = await customer.ask({ model, stream: true }, withKey('order-1'));
    expect(rejected.status).toBe(409);
    expect(rejected.chunks[0]!.error).toMatchObject({ code: 'idempotency_exhausted' });
  });

  it('may run again after an error that cost nothing', async () => {
    const model = newModel();
    const customer = await Customer.withCredit();
    expect((await customer.ask({ model }, withKey('order-1'))).status).toBe(503);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 10_000 });
    await network().add(model, answering());
    expect((await customer.ask({ model }, withKey('order-1'))).status).toBe(200);
  });

  it.each([[''], ['x'.repeat(256)], ['with space']])('is rejected when the key is %j', async (key) => {
    const customer = await Customer.withCredit();
    const rejected = await customer.ask({ model: newModel() }, withKey(key));
    expect(rejected.status).toBe(400);
    expect(rejected.chunks[0]!.error).toMatchObject({ param: 'Idempotency-Key' });
  });
});

it('stores nothing readable of prompt, answer or key', async () => {
  const model = newModel();
  await network().add(model, answer({ content: ['ANSWER-CANARY'] }));
  const customer = await Customer.withCredit();
  const messages = [{ role: 'user', content: 'PROMPT-CANARY' }];
  await customer.ask({ model, messages }, withKey('KEY-CANARY'));
  await runInDurableObject(customer.wallet, (_, state) => {
    const rows = ['replay', 'replay_part', 'request', 'outbox'].flatMap((table) =>
      state.storage.sql.exec(`SELECT * FROM ${table}`).toArray(),
    );
    const text = rows
      .flatMap((row) => Object.values(row))
      .map((value) =>
        value instanceof ArrayBuffer ? new TextDecoder('latin1').decode(value) : String(value),
      )
      .join('\n');
    expect(rows.length).toBeGreaterThan(3);
    for (const canary of ['ANSWER-CANARY', 'PROMPT-CANARY', 'KEY-CANARY', customer.key])
      expect(text).not.toContain(canary);
  });
});
