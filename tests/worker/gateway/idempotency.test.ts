/** Idempotency-Key: a retry gets the same answer and is never billed twice, whatever became of the first attempt. */
import { evictDurableObject, runInDurableObject } from 'cloudflare:test';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { usd } from '../../../worker/domain/money.ts';
import { answer, endless, freshNetwork, type Script, said, stream, usageOf } from '../fake-node.ts';
import { Customer, costOf, newModel } from './client.ts';

const network = freshNetwork();
afterEach(() => {
  vi.useRealTimers();
});

/** As many answers as are asked for. */
const willing = (): Script => () => stream(answer({ content: ['Hello', ' there'] }));
const keyed = (key: string) => ({ headers: { 'idempotency-key': key } });

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
    const node = await network().add(model, willing());
    const customer = await Customer.withCredit();
    const first = await customer.ask({ model, stream: streamed }, keyed('order-1'));
    await evictDurableObject(customer.wallet);
    const second = await customer.ask({ model, stream: streamed }, keyed('order-1'));

    expect(second.status).toBe(200);
    expect(second.text).toBe(first.text);
    expect(second.requestId).toBe(first.requestId);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
    expect(node.asked).toHaveLength(1);
    expect(await charges(customer)).toHaveLength(1);
  });

  it('does the work anew under another key, and without one', async () => {
    const model = newModel();
    const node = await network().add(model, willing());
    const customer = await Customer.withCredit();
    await customer.ask({ model }, keyed('a'));
    await customer.ask({ model }, keyed('b'));
    await customer.ask({ model });
    expect(node.asked).toHaveLength(3);
  });

  it('is refused with another body, and by another API key', async () => {
    const model = newModel();
    const node = await network().add(model, willing());
    const customer = await Customer.withCredit();
    await customer.ask({ model }, keyed('order-1'));
    const other = await customer.ask({ model, temperature: 1 }, keyed('order-1'));
    expect(other.status).toBe(422);
    expect(other.chunks[0]!.error).toMatchObject({ type: 'idempotency_error', code: 'idempotency_mismatch' });
    expect(other.headers.get('x-should-retry')).toBe('false');
    expect(node.asked).toHaveLength(1);
  });

  it('is nothing to another account', async () => {
    const model = newModel();
    const node = await network().add(model, willing());
    const [one, two] = [await Customer.withCredit(), await Customer.withCredit()];
    const first = await one.ask({ model }, keyed('order-1'));
    const second = await two.ask({ model }, keyed('order-1'));
    expect(second.requestId).not.toBe(first.requestId);
    expect(node.asked).toHaveLength(2);
  });

  it('is told to wait while the first attempt runs', async () => {
    const model = newModel();
    await network().add(model, endless());
    const customer = await Customer.withCredit();
    const { response, settled } = await customer.send({ model, stream: true }, keyed('order-1'));
    const reader = response.body!.getReader();
    await reader.read();
    const second = await customer.ask({ model, stream: true }, keyed('order-1'));
    expect(second.status).toBe(409);
    expect(second.headers.get('retry-after')).toBe('1');
    expect(second.chunks[0]!.error).toMatchObject({ type: 'idempotency_error', code: 'idempotency_running' });
    await reader.cancel();
    await settled();
  });

  it('does the work again when the first answer broke off, and gives back what that cost', async () => {
    const model = newModel();
    const node = await network().add(model, [said('Half ', usageOf(10, 3)), new Error('cut')]);
    const customer = await Customer.withCredit();
    const first = await customer.ask({ model, stream: true }, keyed('order-1'));
    expect(first.chunks.at(-1)!.error).toBeDefined();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
    node.script = willing();
    await node.report();
    const second = await customer.ask({ model, stream: true }, keyed('order-1'));
    expect(second.events.at(-1)).toBe('[DONE]');
    expect(node.asked).toHaveLength(2);
    // of both runs the dearer is paid: three tokens, not five
    expect(await charges(customer)).toEqual([
      ['charge', -costOf(10, 3)],
      ['charge', -costOf(10, 2)],
      ['correction', costOf(10, 2)],
    ]);
    const third = await customer.ask({ model, stream: true }, keyed('order-1'));
    expect(third.text).toBe(second.text);
    expect(await charges(customer)).toHaveLength(3);
  });

  it('does the work again when the client had left, and is paid once', async () => {
    const model = newModel();
    await network().add(model, endless());
    const customer = await Customer.withCredit();
    const { response, settled } = await customer.send({ model, stream: true }, keyed('order-1'));
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    await settled();
    const [first] = await charges(customer);
    const again = await customer.send({ model, stream: true }, keyed('order-1'));
    expect(again.response.status).toBe(200);
    expect(again.response.headers.get('idempotent-replayed')).toBeNull();
    const secondReader = again.response.body!.getReader();
    for (let i = 0; i < 40; i++) await secondReader.read();
    await secondReader.cancel();
    await again.settled();
    const [, second, back] = await charges(customer);
    expect(second![1]).toBeLessThan(first![1]);
    expect(back).toEqual(['correction', -first![1]]);
  });

  it('gives nothing back for a retry that costs nothing', async () => {
    const model = newModel();
    await network().add(model, endless());
    const customer = await Customer.withCredit(usd(5), { requestsPerMinute: 1 });
    const { response, settled } = await customer.send({ model, stream: true }, keyed('order-1'));
    const reader = response.body!.getReader();
    for (let i = 0; i < 20; i++) await reader.read();
    await reader.cancel();
    await settled();
    const before = await charges(customer);
    for (let i = 0; i < 5; i++) {
      expect((await customer.ask({ model, stream: true }, keyed('order-1'))).status).toBe(429);
    }
    expect(await charges(customer)).toEqual(before);
  });

  it('stops doing lost work again after the third time', async () => {
    const model = newModel();
    await network().add(model, endless());
    const customer = await Customer.withCredit();
    for (let run = 0; run < 3; run++) {
      const { response, settled } = await customer.send({ model, stream: true }, keyed('order-1'));
      expect(response.status).toBe(200);
      const reader = response.body!.getReader();
      await reader.read();
      await reader.cancel();
      await settled();
    }
    const refused = await customer.ask({ model, stream: true }, keyed('order-1'));
    expect(refused.status).toBe(409);
    expect(refused.chunks[0]!.error).toMatchObject({ code: 'idempotency_exhausted' });
  });

  it('is free to try again after a refusal that cost nothing', async () => {
    const model = newModel();
    const customer = await Customer.withCredit();
    expect((await customer.ask({ model }, keyed('order-1'))).status).toBe(503);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 10_000 });
    await network().add(model, willing());
    expect((await customer.ask({ model }, keyed('order-1'))).status).toBe(200);
  });

  it.each([[''], ['x'.repeat(256)], ['with space']])('is refused when the key is %j', async (key) => {
    const customer = await Customer.withCredit();
    const refused = await customer.ask({ model: newModel() }, keyed(key));
    expect(refused.status).toBe(400);
    expect(refused.chunks[0]!.error).toMatchObject({ param: 'Idempotency-Key' });
  });
});

it('keeps nothing readable of prompt, answer or key', async () => {
  const model = newModel();
  await network().add(model, answer({ content: ['ANSWER-CANARY'] }));
  const customer = await Customer.withCredit();
  const messages = [{ role: 'user', content: 'PROMPT-CANARY' }];
  await customer.ask({ model, messages }, keyed('KEY-CANARY'));
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
