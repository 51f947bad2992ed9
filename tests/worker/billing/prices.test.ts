import { describe, expect, it } from 'vitest';
import { dailySchedule, minuteOf, nanoPerToken } from '../../../worker/domain/price-change.ts';
import type { DatedPrice } from '../../../worker/domain/pricing.ts';
import { auditOf, env } from '../fleet/fixtures.ts';
import { newModel } from '../gateway/client.ts';
import { operatorGet, operatorSend, outcomeOf } from '../portal/operator/console.ts';

/** A change that is far enough ahead and needs no confirmation: the test model costs 0.1 / 0.5 / 2. */
function version(model: string, change: Record<string, unknown> = {}) {
  return {
    model,
    from: inSeconds(3_600),
    cache_hit: '0.11',
    cache_miss: '0.55',
    output: '2.2',
    source: 'test',
    ...change,
  };
}

function inSeconds(seconds: number): string {
  return new Date(Date.now() + seconds * 1_000).toISOString();
}

const add = (body: object) => operatorSend('/prices', body);
const end = (id: string, body: object) => operatorSend(`/prices/${id}/end`, body);

async function added(body: object): Promise<string> {
  const answer = await add(body);
  expect(answer.status).toBe(201);
  return (await answer.json<{ id: string }>()).id;
}

async function listed(model: string) {
  type Row = { id: string; model: string; to: string | null; changes: { actor: string; action: string }[] };
  const { prices } = await (await operatorGet('/prices')).json<{ prices: Row[] }>();
  return prices.filter((price) => price.model === model);
}

describe('a new price', () => {
  it('is exact to the nano-USD per token, and in the audit trail with its actor', async () => {
    const model = newModel();
    const id = await added(version(model, { cache_miss: '0.551', output: 2.19 }));
    expect(id).toBe(`${model}/standard/1`);
    const row = await env.DB.prepare('select * from price where id = ?').bind(id).first();
    expect(row).toMatchObject({
      cache_hit_nano_usd: 110,
      cache_miss_nano_usd: 551,
      output_nano_usd: 2_190,
      tariff: 'standard',
      to_ms: null,
      daily_from_minute: null,
    });
    expect(await auditOf(id)).toMatchObject([{ action: 'price.added', actor: 'operator-token' }]);
    expect((await listed(model)).map((each) => each.id)).toEqual([`${model}/1`, id]);
    expect(await added(version('deepseek-r1-zero', { cache_hit: '0.14', output: 2.19 }))).toBe(
      'deepseek-r1-zero/standard/2',
    );
  });

  it.each(['2.1999', '0.0001', '-1', '1e3', '', '100000', 'free', 0.0005, null])(
    'of %j US dollars per million tokens is refused: a token costs whole nano-USD',
    async (output) => {
      expect(await outcomeOf(add(version(newModel(), { output })))).toBe('400 body_invalid');
    },
  );

  it('must be above zero for output', async () => {
    expect(await outcomeOf(add(version(newModel(), { output: '0' })))).toBe('400 body_invalid');
  });

  it('begins at least a minute from now, never in the past', async () => {
    const model = newModel();
    for (const seconds of [-86_400, 0, 50]) {
      expect(await outcomeOf(add(version(model, { from: inSeconds(seconds) })))).toBe('400 price_too_soon');
    }
    expect(await outcomeOf(add(version(model, { from: inSeconds(65) })))).toBe('201');
  });

  it('is refused when another begins at the same instant', async () => {
    const model = newModel();
    const body = version(model);
    expect(await outcomeOf(add(body))).toBe('201');
    expect(await outcomeOf(add(body))).toBe('409 price_same_instant');
    const window = { daily_from: '16:30', daily_to: '00:30', confirm: model };
    expect(await outcomeOf(add({ ...body, ...window }))).toBe('201');
    const half = { tariff: 'batch', cache_hit: '0.05', cache_miss: '0.25', output: '1' };
    expect(await outcomeOf(add({ ...body, ...half }))).toBe('201');
  });

  it('costs no less for a token that is computed than for one from the cache', async () => {
    const model = newModel();
    expect(await outcomeOf(add(version(model, { cache_hit: '0.551' })))).toBe('400 price_cache_dearer');
    expect(await outcomeOf(add(version(model, { cache_hit: '0.55', confirm: model })))).toBe('201');
  });

  it('of a batch is at most half of every price of the model, off-peak hours included', async () => {
    const model = newModel();
    const half = { tariff: 'batch', cache_hit: '0.05', cache_miss: '0.25', output: '1', confirm: model };
    const refused = await add(version(model, { ...half, output: '1.001' }));
    expect((await refused.json<{ error: { message: string } }>()).error.message).toContain(
      `output of the new price is 1.001, half of ${model}/1 is 1`,
    );
    const batch = await added(version(model, half));
    // An off-peak price that is lower would make the batch dearer than half of it.
    const hours = { daily_from: '16:30', daily_to: '00:30', output: '1.9', confirm: model };
    expect(await outcomeOf(add(version(model, hours)))).toBe('400 price_batch_above_half');
    const low = version(model, { ...half, output: '0.5', from: inSeconds(7_200) });
    expect(await outcomeOf(add({ ...low, preview: true }))).toBe('200');
    const lower = await added(low);
    const atOnce = version(model, { ...hours, from: inSeconds(7_200 + 86_400 - 60) });
    expect(await outcomeOf(add(atOnce))).toBe('400 price_batch_above_half');
    expect(await outcomeOf(add({ ...atOnce, from: inSeconds(7_200 + 86_400) }))).toBe('201');
    // The dearer one would be back in force.
    const ended = end(lower, { to: inSeconds(3 * 86_400), confirm: model });
    expect(await outcomeOf(ended)).toBe('400 price_batch_above_half');
    expect(await outcomeOf(end(batch, { to: inSeconds(3 * 86_400), confirm: model }))).toBe('200');
    expect(await outcomeOf(end(lower, { to: inSeconds(4 * 86_400), confirm: model }))).toBe('200');
  });

  it('keeps the batch at half when two operators change both at once', async () => {
    const model = newModel();
    const half = { tariff: 'batch', cache_hit: '0.05', cache_miss: '0.25', output: '1', confirm: model };
    const outcomes = await Promise.all([
      outcomeOf(add(version(model, half))),
      outcomeOf(add(version(model, { output: '1.9', confirm: model }))),
    ]);
    expect(outcomes.toSorted()).toEqual(['201', '400 price_batch_above_half']);
  });

  it('gets its own number when many operators add one at once', async () => {
    const model = newModel();
    const bodies = Array.from({ length: 8 }, (_, i) => version(model, { from: inSeconds(3_600 + 60 * i) }));
    const ids = await Promise.all(bodies.map(added));
    expect(new Set(ids).size).toBe(8);
    expect(ids.toSorted()).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((n) => `${model}/standard/${n}`));
    for (const id of ids) expect(await auditOf(id)).toHaveLength(1);
  });

  it('is added once when many operators add the same at once', async () => {
    const body = version(newModel());
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => outcomeOf(add(body))));
    expect(outcomes.toSorted()).toEqual(['201', ...Array(7).fill('409 price_same_instant')]);
    expect(await listed(body.model)).toHaveLength(2);
  });

  it('with hours is an off-peak version; a batch price cannot have hours', async () => {
    const model = newModel();
    const hours = { daily_from: '16:30', daily_to: '00:30' };
    expect(await added(version(model, hours))).toBe(`${model}/off-peak/1`);
    expect(await outcomeOf(add(version(model, { ...hours, tariff: 'batch' })))).toBe(
      '400 price_window_batch',
    );
    expect(await outcomeOf(add(version(model, { daily_from: '16:30' })))).toBe('400 body_invalid');
    expect(await outcomeOf(add(version(model, { daily_from: '25:00', daily_to: '01:00' })))).toBe(
      '400 body_invalid',
    );
    expect(await outcomeOf(add(version(model, { daily_from: '16:30', daily_to: '16:30' })))).toBe(
      '400 price_window_empty',
    );
  });

  it('of an unknown model is refused', async () => {
    expect(await outcomeOf(add(version('gpt-2')))).toBe('404 model_not_found');
  });

  it.each([
    ['raises by more than a quarter', { output: '2.51' }],
    ['falls by more than a quarter', { cache_hit: '0.07' }],
  ])('is confirmed by typing the model when it %s', async (_, change) => {
    const model = newModel();
    expect(await outcomeOf(add(version(model, change)))).toBe('409 price_unconfirmed');
    expect(await outcomeOf(add(version(model, { ...change, confirm: 'yes' })))).toBe('409 price_unconfirmed');
    expect(await listed(model)).toHaveLength(1);
    expect(await outcomeOf(add(version(model, { ...change, confirm: model })))).toBe('201');
  });

  it('can be previewed before it is added', async () => {
    const model = newModel();
    const hours = { daily_from: '22:00', daily_to: '02:00' };
    const answer = await add(version(model, { ...hours, preview: true }));
    expect(answer.status).toBe(200);
    const one = { before: { id: `${model}/1` }, after: { id: null, output: 2.2 } };
    const other = { before: { id: `${model}/1` }, after: { id: `${model}/1` } };
    expect((await answer.json<{ effect: object[] }>()).effect).toMatchObject([
      { daily_from: '00:00', daily_to: '02:00', ...one },
      { daily_from: '02:00', daily_to: '22:00', ...other },
      { daily_from: '22:00', daily_to: '00:00', ...one },
    ]);
    expect(await listed(model)).toHaveLength(1);
  });
});

describe('the end of a price', () => {
  it('lies at least a minute ahead, and can be moved until then', async () => {
    const model = newModel();
    const id = `${model}/1`;
    const confirm = model;
    expect(await outcomeOf(end(id, { to: inSeconds(30), confirm }))).toBe('400 price_too_soon');
    expect(await outcomeOf(end(id, { to: inSeconds(-30), confirm }))).toBe('400 price_too_soon');
    expect(await outcomeOf(end(id, { to: inSeconds(120), confirm }))).toBe('200');
    expect(await outcomeOf(end(id, { to: inSeconds(65), confirm }))).toBe('200');
    expect(await outcomeOf(end(id, { to: inSeconds(600), confirm }))).toBe('200');
    await env.DB.prepare('update price set to_ms = ? where id = ?')
      .bind(Date.now() + 30_000, id)
      .run();
    expect(await outcomeOf(end(id, { to: inSeconds(600), confirm }))).toBe('409 price_ended');
    expect((await auditOf(id)).map(({ action }) => action)).toEqual(Array(3).fill('price.ended'));
  });

  it('lies after its beginning', async () => {
    const model = newModel();
    const id = await added(version(model, { from: inSeconds(7_200) }));
    expect(await outcomeOf(end(id, { to: inSeconds(3_600) }))).toBe('400 price_end_before_start');
    expect(await outcomeOf(end(id, { to: inSeconds(9_000) }))).toBe('200');
  });

  it('that leaves a model without a price is confirmed by typing the model', async () => {
    const model = newModel();
    expect(await outcomeOf(end(`${model}/1`, { to: inSeconds(600) }))).toBe('409 price_unconfirmed');
    expect((await listed(model))[0]!.to).toBeNull();
  });

  it('is refused for an unknown version', async () => {
    expect(await outcomeOf(end('deepseek-r1-0528/standard/999', { to: inSeconds(600) }))).toBe(
      '404 price_not_found',
    );
  });
});

describe('the past', () => {
  it.each([
    ['changed', 'update price set output_nano_usd = 1 where id = ?'],
    ['moved', 'update price set from_ms = 0 where id = ?'],
    ['removed', 'delete from price where id = ?'],
  ])('of prices cannot be %s, even in the database', async (_, statement) => {
    const attempt = env.DB.prepare(statement).bind('deepseek-r1-0528/standard/1').run();
    await expect(attempt).rejects.toThrow(/a price is never/);
  });
});

describe('a day’s price schedule', () => {
  const row = (id: string, change: Partial<DatedPrice> = {}): DatedPrice => ({
    id,
    tariff: 'standard',
    fromMs: 0,
    toMs: null,
    dailyFromMinute: null,
    dailyToMinute: null,
    cacheHitNanoUsd: 1,
    cacheMissNanoUsd: 1,
    outputNanoUsd: 1,
    ...change,
  });
  const ids = (prices: DatedPrice[], atMs = 1_000) =>
    dailySchedule(prices, 'standard', atMs).map(({ fromMinute, toMinute, price }) => [
      fromMinute,
      toMinute,
      price?.id ?? null,
    ]);

  it('has the newest version for each part, and an older window where the newer one does not apply', () => {
    const prices = [
      row('day/1'),
      row('day/2', { fromMs: 500 }),
      row('peak/1', { dailyFromMinute: 990, dailyToMinute: 30 }),
      row('peak/2', { fromMs: 500, dailyFromMinute: 1_080, dailyToMinute: 1_200 }),
      row('day/3', { fromMs: 2_000 }),
    ];
    expect(ids(prices)).toEqual([
      [0, 30, 'peak/1'],
      [30, 990, 'day/2'],
      [990, 1_080, 'peak/1'],
      [1_080, 1_200, 'peak/2'],
      [1_200, 1_440, 'peak/1'],
    ]);
  });

  it('has parts without a price', () => {
    expect(ids([row('peak/1', { dailyFromMinute: 60, dailyToMinute: 120 })])).toEqual([
      [0, 60, null],
      [60, 120, 'peak/1'],
      [120, 1_440, null],
    ]);
    expect(ids([row('day/1', { toMs: 1_000 })])).toEqual([[0, 1_440, null]]);
  });
});

it('parses prices and hours as people write them', () => {
  expect(['2.19', '0.035', '0.5500', '12'].map(nanoPerToken)).toEqual([2_190, 35, 550, 12_000]);
  expect(['2.1901', '2,19', '.5', ' 1', '+1', '1.', ''].map(nanoPerToken)).toEqual(Array(7).fill(null));
  expect(['00:00', '16:30', '23:59', '24:00', '7:30'].map(minuteOf)).toEqual([0, 990, 1_439, null, null]);
});
