/** The operator's pages for the end of a model and for comparison prices. */
import { expect, it } from 'vitest';
import { REFERENCE_PRICES_MAX } from '../../../../worker/db/reference-prices.ts';
import { MESSAGES } from '../../../../worker/i18n/locale.ts';
import { env } from '../../fleet/fixtures.ts';
import { newModel } from '../../gateway/client.ts';
import { operatorBrowser, textOf } from './console.ts';

const { faults } = MESSAGES.en;
const { modelEnd, comparison } = MESSAGES.en.operator;
const DAY_MS = 86_400_000;
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 16);
const row = (id: string) =>
  env.DB.prepare('select ends_at_ms, successor_id from model where id = ?').bind(id).first();

it('announces the end of a model, marks what is wrong, moves it later and withdraws it', async () => {
  const console = await operatorBrowser();
  const [model, successor] = [newModel(), newModel()];
  const path = `/operator/models/${model}/end`;
  const fields = { endsAtMs: inDays(61), successorId: successor, confirm: model };
  for (const [change, fault] of [
    [{ endsAtMs: inDays(59) }, faults.end_too_soon],
    [{ endsAtMs: 'soon' }, faults.instant],
    [{ successorId: model }, faults.successor_ends_first],
    [{ confirm: successor }, faults.end_unconfirmed],
  ] as const) {
    const refused = await console.post(path, { ...fields, ...change });
    expect(refused.status).toBe(422);
    expect(await textOf(refused)).toContain(fault);
  }
  expect(await row(model)).toEqual({ ends_at_ms: null, successor_id: null });

  const announced = await textOf(console.postAndFollow(path, fields));
  expect(announced).toContain(modelEnd.withdraw);
  expect(await row(model)).toMatchObject({ successor_id: successor });
  expect((await console.post(path, { ...fields, endsAtMs: inDays(60.5) })).status).toBe(422);
  expect((await console.post(path, { ...fields, endsAtMs: inDays(70) })).status).toBe(303);
  await console.post(`${path}/withdraw`, {});
  expect(await row(model)).toEqual({ ends_at_ms: null, successor_id: null });
  expect((await console.get('/operator/models/nothing/end')).status).toBe(404);
});

it('adds a comparison price, shows it to visitors, ends it once, and keeps their number small', async () => {
  const console = await operatorBrowser();
  const fields = {
    name: 'Acme <b>large</b>',
    fromMs: inDays(-1),
    cacheHitNanoUsd: '0.01',
    cacheMissNanoUsd: '9.99',
    outputNanoUsd: '99.999',
    source: 'https://acme.example/prices',
  };
  expect(await textOf(console.post('/operator/comparison', { ...fields, source: '' }))).toContain(
    faults.required,
  );
  await console.post('/operator/comparison', fields);
  const page = await (await console.get('/pricing')).text();
  expect(page).toContain('Acme &lt;b&gt;large&lt;/b&gt;');
  expect(page).toContain('$99.999');

  const added = await env.DB.prepare("select id from reference_price where name like 'Acme%'").first<{
    id: string;
  }>();
  await console.post(`/operator/comparison/${added!.id}/end`, {});
  const ended = () =>
    env.DB.prepare('select to_ms from reference_price where id = ?')
      .bind(added!.id)
      .first<{ to_ms: number }>();
  const first = await ended();
  expect(first!.to_ms).toBeGreaterThan(0);
  await console.post(`/operator/comparison/${added!.id}/end`, {});
  expect(await ended()).toEqual(first);

  await console.post('/operator/comparison', { ...fields, name: 'Future model', fromMs: inDays(9) });
  expect(await textOf(console.get('/pricing'))).not.toContain('Future model');
  const future = await env.DB.prepare("select id from reference_price where name = 'Future model'").first();
  await console.post(`/operator/comparison/${future!.id}/end`, {});
  for (let n = 0; n < REFERENCE_PRICES_MAX; n++)
    await console.post('/operator/comparison', { ...fields, name: `n${n}` });
  // Those that have ended do not count, or there would be no new one after twenty changes.
  const count = await env.DB.prepare('select count(*) as n from reference_price where to_ms is null').first();
  expect(count).toEqual({ n: REFERENCE_PRICES_MAX });
  expect(await textOf(console.get('/operator/comparison'))).toContain(comparison.title);
});
