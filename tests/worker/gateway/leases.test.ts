/** Leases at the gateway: a busy key makes few calls to its Wallet and gets the same bills and errors as without a lease. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type LeaseReport, parseTicket } from '../../../worker/domain/lease.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import { Wallet } from '../../../worker/wallet/wallet.ts';
import { answer, endless, freshNetwork, stream, wait } from '../fake-node.ts';
import { waitFor } from '../wait.ts';
import { Customer, costOf, env, newModel, PRICE, withSettings } from './client.ts';

const network = freshNetwork();
const using = withSettings({ LEASE_BUSY_MS: '1000' });
/** A longer busy time for tests in which a pause of a slow machine must not make the key idle. */
const patient = withSettings({ LEASE_BUSY_MS: '10000' });
const ASKING_MS = 4_000;
/** More requests than a lease reserves at least (AHEAD_REQUESTS_MIN in lease.ts). */
const AT_ONCE = 60;
/** How many of them may come before the lease has slack again. */
const ALONE = 10;
const WIDE = { requestsPerMinute: 100_000, concurrency: 10_000 };
const SLOWLY_MS = 25;
/** Longer than a report takes. */
const LONGER_MS = 400;
const words = (count: number) => Array.from({ length: count }, (_, i) => `${i} `);
const COST = costOf(10, 3);

let calls: string[];
let reports: LeaseReport[];
/** Calls of Wallets that have not been answered yet. */
let pendingCalls = 0;
beforeEach(() => {
  calls = [];
  reports = [];
  pendingCalls = 0;
  for (const method of ['admit', 'resize', 'post', 'void', 'lease'] as const) {
    const real = Wallet.prototype[method] as (this: Wallet, ...args: unknown[]) => Promise<unknown>;
    vi.spyOn(Wallet.prototype, method).mockImplementation(function (this: Wallet, ...args: unknown[]) {
      calls.push(method);
      if (method === 'lease') reports.push(args[0] as LeaseReport);
      pendingCalls += 1;
      return (real.apply(this, args) as Promise<unknown>).finally(() => {
        pendingCalls -= 1;
      }) as never;
    });
  }
});

const short = () => stream(answer({ prompt: 10, content: words(3) }));

/** Sends requests one after the other, as fast as they are answered. Resolves when the Worker has reported all of them. */
async function ask(customer: Customer, model: string, count: number, settings = using) {
  const sent: Awaited<ReturnType<Customer['send']>>[] = [];
  for (let i = 0; i < count; i++) {
    const each = await customer.send({ model }, { using: settings });
    expect(each.response.status).toBe(200);
    await each.response.text();
    sent.push(each);
  }
  await Promise.all(sent.map(({ settled }) => settled()));
  return sent.map(({ requestId }) => requestId);
}

describe('a busy key', () => {
  it('needs at most a fifth of a call per request, and every request is billed', async () => {
    const model = newModel();
    const node = await network().add(model, short);
    const customer = await Customer.withCredit(usd(5));
    const ids = await ask(customer, model, 150);
    expect(calls.length / ids.length).toBeLessThanOrEqual(0.2);
    const records = await Promise.all(ids.map((id) => customer.wallet.request(id)));
    for (const record of records)
      expect(record).toMatchObject({ state: 'posted', ending: 'finished', chargeNanoUsd: COST });
    expect(await customer.balance()).toMatchObject({ heldNanoUsd: 0, availableNanoUsd: usd(5) - 150 * COST });
    const tickets = node.received.map(({ claims }) => claims.ticket ?? null);
    expect(tickets.filter((ticket) => parseTicket(ticket) !== null).length).toBeGreaterThan(130);
  });

  it('pays nothing for requests that no node served', async () => {
    const model = newModel();
    await network().add(model, short);
    const customer = await Customer.withCredit(usd(5));
    await ask(customer, model, 20);
    const unserved = newModel();
    const spent = usd(5) - 20 * COST;
    for (let i = 0; i < 12; i++) {
      const { response, settled } = await customer.send({ model: unserved }, { using });
      expect(response.status).toBe(503);
      await settled();
    }
    expect(await customer.balance()).toMatchObject({ heldNanoUsd: 0, availableNanoUsd: spent });
  });

  it('uses no lease for requests with an Idempotency-Key', async () => {
    const model = newModel();
    await network().add(model, short);
    const customer = await Customer.withCredit(usd(5));
    const background = ask(customer, model, 12);
    for (let i = 0; i < 3; i++) {
      const headers = { 'idempotency-key': `key-${i}` };
      const first = await customer.ask({ model }, { using, headers });
      expect(first.record).toMatchObject({ state: 'posted', chargeNanoUsd: COST });
      expect((await customer.ask({ model }, { using, headers })).text).toBe(first.text);
    }
    await background;
    expect(await customer.balance()).toMatchObject({ availableNanoUsd: usd(5) - 15 * COST });
  });

  it('is refused exactly those requests that exceed its limit', async () => {
    const model = newModel();
    await network().add(model, short);
    const customer = await Customer.withCredit(usd(5), { requestsPerMinute: 40 });
    const sent = await Promise.all(Array.from({ length: 60 }, () => customer.send({ model }, { using })));
    const statuses = sent.map(({ response }) => response.status);
    await Promise.all(sent.map(({ response }) => response.text()));
    await Promise.all(sent.map(({ settled }) => settled()));
    expect(statuses.filter((status) => status === 200)).toHaveLength(40);
    expect(statuses.filter((status) => status === 429)).toHaveLength(20);
  });

  it('spends its credit to the last token, and not one more', async () => {
    const model = newModel();
    await network().add(model, endless(10));
    const credit = nanoUsd(6 * costOf(10, 1_000) + costOf(10, 7) + PRICE.output - 1);
    const customer = await Customer.withCredit(credit);
    const sent = await Promise.all(
      Array.from({ length: 12 }, () => customer.send({ model, max_tokens: 4_000 }, { using })),
    );
    await Promise.all(sent.map(({ response }) => response.text()));
    await Promise.all(sent.map(({ settled }) => settled()));
    const { heldNanoUsd, availableNanoUsd } = await customer.balance();
    expect(heldNanoUsd).toBe(0);
    expect(availableNanoUsd).toBeGreaterThanOrEqual(0);
    const records = await Promise.all(sent.map(({ requestId }) => customer.wallet.request(requestId)));
    const charged = records.reduce((sum, record) => sum + (record?.chargeNanoUsd ?? 0), 0);
    expect(availableNanoUsd).toBe(credit - charged);
  });

  it('has slack for as many requests as are running, so that as many may start at once', async () => {
    const model = newModel();
    const node = await network().add(model, short);
    const customer = await Customer.withCredit(usd(50), WIDE);
    // a lease gets at most an eighth of what is left of the limits
    const { requestsPerMinute, concurrency } = WIDE;
    const widened = 'update account set requests_per_minute = ?, concurrency = ? where id = ?';
    await env.DB.prepare(widened).bind(requestsPerMinute, concurrency, customer.accountId).run();
    await ask(customer, model, 12, patient);
    node.script = endless(10);
    const running: Awaited<ReturnType<Customer['send']>>[] = [];
    const begin = () => customer.send({ model, stream: true, max_tokens: 4_000 }, { using: patient });
    // one by one, so that their pace alone requires less slack
    for (let i = 0; i < AT_ONCE; i++) {
      running.push(await begin());
      await wait(SLOWLY_MS);
    }
    await wait(LONGER_MS);
    await waitFor(() => expect(pendingCalls).toBe(0), { timeout: 60_000 });
    calls = [];
    running.push(...(await Promise.all(Array.from({ length: AT_ONCE - ALONE }, begin))));
    expect(calls.filter((method) => method === 'admit')).toEqual([]);
    await Promise.all(running.map(({ response }) => response.body!.cancel()));
    await Promise.all(running.map(({ settled }) => settled()));
  });

  it('of an account without credit does not open one lease after the other', async () => {
    const model = newModel();
    await network().add(model, short);
    const customers = await Promise.all([1, 2].map(() => Customer.withCredit(nanoUsd(1))));
    const endMs = Date.now() + ASKING_MS;
    let refused = 0;
    for (; Date.now() < endMs; refused++) {
      for (const customer of customers) {
        const { response, settled } = await customer.send({ model }, { using });
        expect(response.status).toBe(402);
        await settled();
      }
    }
    expect(refused).toBeGreaterThan(6);
    for (const { keyId } of customers) {
      const own = reports.filter(({ terms }) => terms.keyId === keyId);
      expect(new Set(own.map(({ leaseId }) => leaseId)).size).toBe(1);
    }
  });
});
