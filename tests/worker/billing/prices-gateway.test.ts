import { createExecutionContext } from 'cloudflare:test';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import app from '../../../worker/index.ts';
import { answer, type FakeNetwork, freshNetwork, stream, textChunk, usageOf } from '../fake-node.ts';
import { Customer, env, newModel } from '../gateway/client.ts';
import { Browser } from '../portal/browser.ts';
import { operatorSend } from '../portal/operator/console.ts';

const network: () => FakeNetwork = freshNetwork();

/** Midnight UTC of a future day: windows and versions begin where the test says. */
const MIDNIGHT_MS = Date.parse('2027-03-01T00:00:00Z');
const DAY_MS = 86_400_000;

// Each test runs on a later day, so that no isolate's cache of one test is valid in the next.
let dayMs = MIDNIGHT_MS;
beforeEach(() => {
  dayMs += DAY_MS;
  vi.useFakeTimers({ toFake: ['Date'], now: dayMs });
});
afterEach(() => vi.useRealTimers());

const iso = (atMs: number) => new Date(atMs).toISOString();

async function addPrice(
  model: string,
  fromMs: number,
  change: Record<string, unknown> = {},
): Promise<string> {
  const answer = await operatorSend('/prices', {
    model,
    from: iso(fromMs),
    cache_hit: '0.1',
    cache_miss: '0.5',
    output: '2',
    source: 'test',
    confirm: model,
    ...change,
  });
  expect(answer.status).toBe(201);
  return (await answer.json<{ id: string }>()).id;
}

/** Makes a request during whose answer the clock jumps from `beginMs` to `endMs`. */
async function requestAcross(model: string, { beginMs, endMs }: { beginMs: number; endMs: number }) {
  // A node without a heartbeat since the clock jumped would count as silent.
  vi.setSystemTime(beginMs);
  const customer = await Customer.withCredit();
  await network().add(model, () =>
    stream(
      (function* () {
        yield textChunk('before ', usageOf(10, 1, 4));
        vi.setSystemTime(endMs);
        yield* answer({ prompt: 10, cached: 4, content: ['a', 'b', 'c', 'd', 'e'] });
      })(),
    ),
  );
  return (await customer.ask({ model, stream: true })).record!;
}

it('charges a request admitted before a change at the old price, however late it ends', async () => {
  const model = newModel();
  const changeMs = dayMs + 3_600_000;
  const fresh = await addPrice(model, changeMs, { output: '9' });
  const before = await requestAcross(model, { beginMs: changeMs - 1, endMs: changeMs + 60_000 });
  expect(before.admittedAtMs).toBe(changeMs - 1);
  expect(before.endedAtMs).toBeGreaterThan(changeMs);
  expect(before.price.id).toBe(`${model}/1`);
  expect(before.chargeNanoUsd).toBe(4 * 100 + 6 * 500 + 5 * 2_000);

  const after = await requestAcross(model, { beginMs: changeMs, endMs: changeMs + 1_000 });
  expect(after.price.id).toBe(fresh);
  expect(after.chargeNanoUsd).toBe(4 * 100 + 6 * 500 + 5 * 9_000);
});

it('charges a request across the edge of off-peak hours at the price of its admission', async () => {
  const model = newModel();
  const peak = await addPrice(model, dayMs + 60_000, {
    daily_from: '16:30',
    daily_to: '00:30',
    cache_hit: '0.02',
    cache_miss: '0.1',
    output: '0.5',
  });
  const edgeMs = dayMs + 16.5 * 3_600_000;
  const into = await requestAcross(model, { beginMs: edgeMs - 1_000, endMs: edgeMs + 1_000 });
  expect([into.price.id, into.chargeNanoUsd]).toEqual([`${model}/1`, 4 * 100 + 6 * 500 + 5 * 2_000]);

  const outMs = dayMs + DAY_MS + 30 * 60_000;
  const out = await requestAcross(model, { beginMs: outMs - 1, endMs: outMs + 1_000 });
  expect([out.price.id, out.chargeNanoUsd]).toEqual([peak, 4 * 20 + 6 * 100 + 5 * 500]);
  dayMs += DAY_MS;
});

it('applies a new price also at an edge that had just cached the catalogue, because changes lie a minute ahead', async () => {
  const model = newModel();
  const first = await requestAcross(model, { beginMs: dayMs, endMs: dayMs + 10 });
  expect(first.price.id).toBe(`${model}/1`);
  // The catalogue is cached now; this is the earliest change allowed.
  const changeMs = Date.now() + 60_000;
  const fresh = await addPrice(model, changeMs);
  const second = await requestAcross(model, { beginMs: changeMs, endMs: changeMs + 10 });
  expect(second.price.id).toBe(fresh);
});

it('refuses requests after the end of the only price', async () => {
  const model = newModel();
  const endMs = dayMs + 3_600_000;
  const ended = await operatorSend(`/prices/${model}/1/end`, { to: iso(endMs), confirm: model });
  expect(ended.status).toBe(200);
  const customer = await Customer.withCredit();
  vi.setSystemTime(endMs - 1);
  await network().add(model, answer({ content: ['a'] }));
  expect((await customer.ask({ model })).status).toBe(200);
  vi.setSystemTime(endMs);
  const refused = await customer.ask({ model });
  expect(refused.status).toBe(503);
  expect(refused.text).toContain('model_not_available');
});

it('shows the price in force in /v1/models and on the home page', async () => {
  const model = 'deepseek-v3-0324';
  const changeMs = dayMs + 3_600_000;
  const fresh = await addPrice(model, changeMs, { cache_hit: '0.08', cache_miss: '0.3', output: '1.234' });
  const listed = async () => {
    const request = new Request(`https://tollgate.test/v1/models/${model}`);
    const answer = await app.fetch(request, env, createExecutionContext());
    return (await answer.json<{ tollgate: { pricing: { price_version: string } } }>()).tollgate.pricing;
  };
  const first = () => new Browser().get('/').then((page) => page.text());

  vi.setSystemTime(changeMs - 1);
  expect(await listed()).toMatchObject({ price_version: `${model}/standard/1` });
  expect(await first()).not.toContain('$1.234');
  vi.setSystemTime(changeMs + 10_000);
  expect(await listed()).toMatchObject({ price_version: fresh, output: '0.000001234' });
  const page = await first();
  expect(page).toContain('$1.234');
  // The replaced price is no longer shown.
  expect(page).not.toContain('$1.1<');
  // One row for its price, and one for its batch price.
  expect(page.match(/deepseek-v3-0324/g)).toHaveLength(2);
});
