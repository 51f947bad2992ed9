/**
 * The operator's page of prices: new versions with a preview, confirmation of surprising changes, and the end of a
 * version.
 */
import { describe, expect, it } from 'vitest';
import { MESSAGES } from '../../../../worker/i18n/locale.ts';
import { auditOf, env } from '../../fleet/fixtures.ts';
import { newModel } from '../../gateway/client.ts';
import { Browser } from '../browser.ts';
import { operatorBrowser, textOf } from './console.ts';

const { prices: names } = MESSAGES.en.operator;
const { faults } = MESSAGES.en;
const PATH = '/operator/prices';

function fieldsOf(modelId: string, change: Record<string, string> = {}) {
  return {
    modelId,
    tariff: 'standard',
    fromMs: instant(3_600),
    dailyFromMinute: '',
    dailyToMinute: '',
    cacheHitNanoUsd: '0.11',
    cacheMissNanoUsd: '0.55',
    outputNanoUsd: '2.2',
    source: 'a letter to all customers',
    ...change,
  };
}

function instant(seconds: number): string {
  return new Date(Date.now() + seconds * 1_000).toISOString().slice(0, 16);
}

async function versions(modelId: string): Promise<number> {
  const row = await env.DB.prepare('select count(*) as n from price where model_id = ?')
    .bind(modelId)
    .first();
  return row!.n as number;
}

describe('the operator’s prices', () => {
  it('preview the effect of a new version, then add it, with its author and time', async () => {
    const console = await operatorBrowser();
    const model = newModel();
    const fields = fieldsOf(model);
    const preview = await console.post(PATH, fields);
    expect(preview.status).toBe(200);
    const shown = await textOf(preview);
    expect(shown).toContain(
      `all day ${model}/1 → … $0.10 → $0.11 (+10%) $0.50 → $0.55 (+10%) $2.00 → $2.20 (+10%)`,
    );
    expect(shown).not.toContain(names.surprise);
    expect(await versions(model)).toBe(1);

    const added = await textOf(console.postAndFollow(PATH, { ...fields, step: 'seen' }));
    const id = `${model}/standard/1`;
    expect(added).toContain(names.addedNotice(id));
    expect(added).toContain(`standard/1 ${names.states.next} all day $0.11 $0.55 $2.20`);
    expect(added).toContain(names.added(console.email, '').trim());
    expect(added).toContain(`${model} ${MESSAGES.en.operator.modelEnd.link} ${names.version}`);
    expect(await auditOf(id)).toHaveLength(1);
  });

  it('require the model’s id to confirm a surprising change', async () => {
    const console = await operatorBrowser();
    const model = newModel();
    const fields = fieldsOf(model, { outputNanoUsd: '22' });
    expect(await textOf(console.post(PATH, fields))).toContain(names.surprise);
    for (const confirm of ['', 'yes']) {
      const response = await console.post(PATH, { ...fields, step: 'seen', confirm });
      expect([response.status, await textOf(response)]).toEqual([
        422,
        expect.stringContaining(faults.price_unconfirmed),
      ]);
    }
    expect(await versions(model)).toBe(1);
    await console.postAndFollow(PATH, { ...fields, step: 'seen', confirm: model });
    expect(await versions(model)).toBe(2);
  });

  it.each<[string, Record<string, string>, string]>([
    ['a fourth place', { outputNanoUsd: '2.1905' }, faults.usd_per_million],
    ['output for nothing', { outputNanoUsd: '0' }, faults.usd_per_million],
    ['no instant', { fromMs: 'tomorrow' }, faults.instant],
    ['an instant that is past', { fromMs: '2025-01-01T00:00' }, faults.price_too_soon],
    ['half a window', { dailyFromMinute: '16:30' }, faults.minute],
    ['an unknown model', { modelId: 'gpt-2' }, faults.choice],
    ['an unknown tariff', { tariff: 'weekend' }, faults.choice],
    ['no source', { source: '' }, faults.required],
    [
      'a batch with hours',
      { tariff: 'batch', dailyFromMinute: '16:30', dailyToMinute: '00:30' },
      faults.price_window_batch,
    ],
  ])('reject %s with a message and keep the other input', async (_, change, message) => {
    const console = await operatorBrowser();
    const model = newModel();
    const response = await console.post(PATH, { ...fieldsOf(model, change), step: 'seen' });
    expect(response.status).toBe(422);
    const html = await response.text();
    expect(html).toContain(message);
    if (!('source' in change)) expect(html).toContain('value="a letter to all customers"');
    expect(await versions(model)).toBe(1);
  });

  it('end a version after a confirmation', async () => {
    const console = await operatorBrowser();
    const model = newModel();
    const version = `${model}/1`;
    const path = `${PATH}/end`;
    expect((await console.get(`${path}?version=${encodeURIComponent(version)}`)).status).toBe(200);
    expect((await console.get(`${path}?version=none`)).status).toBe(404);
    const fields = { version, toMs: instant(7_200) };
    const preview = await textOf(console.post(path, fields));
    expect(preview).toContain(`$0.10 → ${names.notSold}`);
    expect(await textOf(console.post(path, { ...fields, step: 'seen' }))).toContain(faults.price_unconfirmed);
    const soon = await console.post(path, { version, toMs: instant(-60), step: 'seen' });
    expect(await textOf(soon)).toContain(faults.price_too_soon);
    const ended = await textOf(console.postAndFollow(path, { ...fields, step: 'seen', confirm: model }));
    expect(ended).toContain(names.endedNotice(version));
    expect(ended).toContain(names.ended(console.email, '').trim());
  });

  it('do not exist for a customer', async () => {
    const customer = new Browser();
    await customer.signUp();
    const model = newModel();
    expect((await customer.get(PATH)).status).toBe(404);
    expect((await customer.post(PATH, { ...fieldsOf(model), step: 'seen' })).status).toBe(404);
    expect((await customer.get(`${PATH}/end?version=${model}/1`)).status).toBe(404);
    const end = { version: `${model}/1`, toMs: instant(7_200), step: 'seen', confirm: model };
    expect((await customer.post(`${PATH}/end`, end)).status).toBe(404);
    expect(await versions(model)).toBe(1);
  });
});
