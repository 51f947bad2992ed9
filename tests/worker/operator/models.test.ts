/** Models by the operator's API: added, edited, listed and deleted, within bounds, each name with one model for ever. */
import { describe, expect, it } from 'vitest';
import { addModel, type FirstPrice } from '../../../worker/billing/change-models.ts';
import { loadCatalogue } from '../../../worker/db/catalogue.ts';
import { database } from '../../../worker/db/client.ts';
import { MODELS_MAX, PROFILE_BYTES_MAX } from '../../../worker/domain/model-definition.ts';
import { onSale } from '../../../worker/domain/model-end.ts';
import { PRICE_NOTICE_MS } from '../../../worker/domain/price-change.ts';
import { profileWith, R1 } from '../../model-profiles.ts';
import { auditOf, env, newJoinToken, OPERATOR, server } from '../fleet/fixtures.ts';

let count = 0;
/** A whole model that no other test has. */
function definition(change: object = {}) {
  count += 1;
  return {
    id: `qwen-${count}`,
    name: 'Qwen',
    aliases: [`Qwen/Qwen-${count}`],
    model_paths: [`Qwen/Qwen-${count}`],
    revision: 'main-1',
    license: 'Apache-2.0',
    context_tokens: 32_768,
    output_tokens_max: 16_384,
    output_tokens_default: 8_192,
    profile: profileWith({ owner: 'Qwen', repository: `Qwen/Qwen-${count}` }),
    ...change,
  };
}
const PRICE = { cache_hit: '0.1', cache_miss: '0.2', output: '0.9', source: 'test' };
const HALF = { ...PRICE, cache_hit: '0.05', cache_miss: '0.1', output: '0.45' };

async function call(method: string, path: string, body?: unknown, indent = 0) {
  const response = await server.request(
    `/operator/api/models${path}`,
    {
      method,
      headers: { ...OPERATOR, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body, null, indent) }),
    },
    env,
  );
  const json = await response.json<Record<string, unknown> & { error?: { code: string; param: string } }>();
  return { status: response.status, json, outcome: [response.status, json.error?.code, json.error?.param] };
}
const add = (body: object, indent = 0) => call('POST', '', body, indent);
const edit = (id: string, body: object) => call('PATCH', `/${id}`, body);

async function added(change: object = {}) {
  const body = definition(change);
  const { status, json } = await add(body);
  expect([status, json.error]).toEqual([201, undefined]);
  return body;
}

describe('a new model', () => {
  it('is listed with all its fields, and is in the catalogue and the audit trail', async () => {
    const body = await added();
    const { json } = await call('GET', `/${body.id}`);
    expect(json).toMatchObject({ ...body, sold: false, reasoning: true, former_aliases: [] });
    const { models } = (await call('GET', '')).json as { models: { id: string }[] };
    expect(models.map(({ id }) => id)).toEqual(expect.arrayContaining([body.id, 'deepseek-r1-0528']));
    const [entry] = await auditOf(body.id);
    expect(entry).toMatchObject({ action: 'model.added', actor: 'operator-token' });
    expect(entry!.detail).toContain(body.profile.repository);
  });

  it('is on sale a minute later, at its prices', async () => {
    const beforeMs = Date.now();
    const { id } = await added({ prices: { standard: PRICE, batch: HALF } });
    const catalogue = await loadCatalogue(database(env));
    const isOnSale = (atMs: number) => onSale(catalogue, atMs).some((model) => model.id === id);
    expect([isOnSale(beforeMs), isOnSale(Date.now() + PRICE_NOTICE_MS)]).toEqual([false, true]);
    const { prices } = catalogue.find((model) => model.id === id)!;
    expect(prices.map((price) => [price.id, price.cacheHitNanoUsd, price.outputNanoUsd])).toEqual([
      [`${id}/standard/1`, 100, 900],
      [`${id}/batch/1`, 50, 450],
    ]);
  });

  it('may be as large as its bounds allow, however it is indented', async () => {
    const many = <T>(of: (i: number) => T) => Array.from({ length: 16 }, (_, i) => of(i));
    const body = definition();
    const large = {
      ...body,
      aliases: many((i) => `${body.id}-${i}`.padEnd(128, 'x')),
      model_paths: many((i) => `${body.id}/${i}`.padEnd(256, 'x')),
      prices: { standard: PRICE, batch: HALF },
    };
    const source = { fact: 'x'.repeat(200), source: 'y'.repeat(150), date: '2026-11-30' };
    large.profile = { ...body.profile, sources: Array.from({ length: 28 }, () => source) };
    expect(JSON.stringify(large.profile).length).toBeGreaterThan(0.9 * PROFILE_BYTES_MAX);
    const { status, json } = await add(large, 8);
    expect([status, json.error]).toEqual([201, undefined]);
  });

  it('is not added when its batch price is above half, or its cache dearer than no cache', async () => {
    const above = await add(definition({ prices: { standard: PRICE, batch: { ...HALF, output: '0.451' } } }));
    expect(above.outcome).toEqual([400, 'price_batch_above_half', 'prices.batch']);
    const dearer = await add(definition({ prices: { standard: { ...PRICE, cache_hit: '0.201' } } }));
    expect(dearer.outcome).toEqual([400, 'price_cache_dearer', 'prices']);
  });

  it('is not said to be added when one of its prices was refused', async () => {
    const { model_paths, context_tokens, output_tokens_max, output_tokens_default, ...same } = definition();
    const price = {
      tariff: 'standard',
      cacheHitNanoUsd: 1,
      cacheMissNanoUsd: 2,
      outputNanoUsd: 3,
      source: 'test',
    };
    const fault = await addModel(
      env,
      {
        definition: {
          ...same,
          modelPaths: model_paths,
          contextTokens: context_tokens,
          outputTokensMax: output_tokens_max,
          outputTokensDefault: output_tokens_default,
        },
        // Two of one tariff cannot begin at the same instant.
        prices: [price, price] as FirstPrice[],
      },
      { actor: 'test', nowMs: Date.now() },
    );
    expect(fault).toBe('model_changed');
  });

  it('without prices is on sale to nobody', async () => {
    const { id } = await added();
    const catalogue = await loadCatalogue(database(env));
    expect(catalogue.some((model) => model.id === id)).toBe(true);
    expect(onSale(catalogue, Number.MAX_SAFE_INTEGER).some((model) => model.id === id)).toBe(false);
  });

  it.each<[string, object, string]>([
    ['id', { id: 'Qwen' }, 'id'],
    ['id', { id: 'a/b' }, 'id'],
    // The console would show its form for a new model in place of this one.
    ['id', { id: 'new' }, 'id'],
    ['id', { id: 'a'.repeat(65) }, 'id'],
    ['name', { name: '' }, 'name'],
    ['aliases', { aliases: ['a b'] }, 'aliases.0'],
    ['aliases', { aliases: Array.from({ length: 17 }, (_, i) => `a${i}`) }, 'aliases'],
    ['model_paths', { model_paths: [] }, 'model_paths'],
    ['model_paths', { model_paths: ['-x'] }, 'model_paths.0'],
    ['revision', { revision: 'a\u202eb' }, 'revision'],
    ['license', { license: undefined }, 'license'],
    ['context_tokens', { context_tokens: 0 }, 'context_tokens'],
    ['output_tokens_max', { output_tokens_max: 65_537 }, 'output_tokens_max'],
    ['profile', { profile: { ...R1, thinking: { mode: 'sometimes' } } }, 'profile.thinking.mode'],
    ['profile', { profile: { ...R1, controlTokens: ['**'] } }, 'profile.controlTokens.0'],
    ['price', { prices: { standard: { ...PRICE, output: '0' } } }, 'prices.standard.output'],
    ['price', { prices: { batch: PRICE } }, 'prices.standard'],
  ])('with a wrong %s is refused, and the error names the field', async (_, change, param) => {
    expect((await add(definition(change))).outcome).toEqual([400, 'body_invalid', param]);
  });

  it.each<[string, object, string]>([
    ['alias_repeated', { aliases: ['a-alias', 'A-Alias'] }, 'aliases'],
    ['alias_repeated', { id: 'own-name', aliases: ['Own-Name'] }, 'aliases'],
    ['path_repeated', { model_paths: ['a', 'a'] }, 'model_paths'],
    ['output_above_context', { context_tokens: 8_192 }, 'output_tokens_max'],
    ['default_above_max', { output_tokens_max: 4_096 }, 'output_tokens_default'],
    ['context_above_weights', { profile: { ...R1, contextLength: 16_384 } }, 'context_tokens'],
    // No engine with these weights takes such a prompt and answers it.
    ['context_above_weights', { profile: { ...R1, contextLength: 32_768 + 64 } }, 'context_tokens'],
    [
      'profile_too_large',
      {
        profile: {
          ...R1,
          sources: Array(24).fill({ fact: 'x'.repeat(200), source: 'y'.repeat(300), date: '2026-11-30' }),
        },
      },
      'profile',
    ],
  ])('whose fields contradict each other is refused: %s', async (code, change, param) => {
    expect((await add(definition(change))).outcome).toEqual([400, code, param]);
  });

  it('takes no name that another has, in whatever case', async () => {
    const { id, aliases } = await added();
    expect((await add(definition({ id }))).outcome).toEqual([409, 'model_id_taken', 'id']);
    expect((await add(definition({ id: 'deepseek-chat' }))).outcome).toEqual([409, 'model_id_taken', 'id']);
    const taken = [409, 'model_alias_taken', 'aliases'];
    expect((await add(definition({ aliases: ['DeepSeek-Reasoner'] }))).outcome).toEqual(taken);
    expect((await add(definition({ aliases: [id.toUpperCase()] }))).outcome).toEqual(taken);
    expect((await add(definition({ aliases: [aliases[0]!.toLowerCase()] }))).outcome).toEqual(taken);
  });

  it('gets a name that two operators want at once only once', async () => {
    const rivals = Array.from({ length: 8 }, () => add(definition({ aliases: ['the-same'] })));
    const statuses = (await Promise.all(rivals)).map(({ status }) => status).sort();
    expect(statuses).toEqual([201, ...Array(7).fill(409)]);
  });
});

describe('an edit', () => {
  it('changes what is given, keeps the rest, and is in the audit trail', async () => {
    const { id } = await added();
    const profile = profileWith({ ...R1, sampling: { temperature: 0.6 }, thinking: { mode: 'never' } });
    const { json } = await edit(id, { context_tokens: 65_536, profile });
    expect(json).toMatchObject({ id, context_tokens: 65_536, profile, reasoning: false, name: 'Qwen' });
    const [, entry] = await auditOf(id);
    expect(entry).toMatchObject({ action: 'model.edited', actor: 'operator-token' });
    expect(JSON.parse(entry!.detail)).toEqual({
      contextTokens: '65536',
      profile: expect.stringContaining('thinking'),
    });
    expect((await edit(id, {})).status).toBe(200);
    expect(await auditOf(id)).toHaveLength(2);
  });

  it.each([
    [{ license: 'MIT' }, { name: 'Another' }],
    [{ profile: { ...R1, sampling: { temperature: 0.3 } } }, { context_tokens: 40_000 }],
    [{ model_paths: ['/data/a'] }, { profile: { ...R1, sampling: { temperature: 0.4 } } }],
  ])('that is made at the same time as another never undoes it: %j, %j', async (first, second) => {
    const { id } = await added();
    const answers = await Promise.all([edit(id, first), edit(id, second)]);
    const { json } = await call('GET', `/${id}`);
    for (const [answer, change] of [
      [answers[0], first],
      [answers[1], second],
    ] as const)
      if (answer?.status === 200) expect(json).toMatchObject(change);
      else expect(answer?.outcome).toEqual([409, 'model_changed', null]);
  });

  it('of the id, or of what is no field, is refused', async () => {
    const { id } = await added();
    expect((await edit(id, { id: 'other' })).outcome[1]).toBe('body_invalid');
    expect((await edit('nothing', { name: 'x' })).outcome).toEqual([404, 'model_not_found', null]);
  });

  it('of weights is refused once the model has a price, and of all else is not', async () => {
    const draft = await added();
    expect((await edit(draft.id, { revision: 'main-2' })).status).toBe(200);
    const sold = await added({ prices: { standard: PRICE } });
    const fixed = [409, 'model_weights_fixed', 'profile'];
    expect((await edit(sold.id, { revision: 'main-2' })).outcome).toEqual(fixed);
    const moved = { ...sold.profile, commit: 'a'.repeat(40) };
    expect((await edit(sold.id, { profile: moved })).outcome).toEqual(fixed);
    const others = { license: 'MIT', model_paths: ['/data/qwen'], name: 'Qwen 2', context_tokens: 40_000 };
    expect((await edit(sold.id, others)).json).toMatchObject(others);
  });

  it('never gives a sold model’s alias to another, not even later', async () => {
    const { id } = await added({ aliases: ['Old-Name', 'kept'], prices: { standard: PRICE } });
    expect((await edit(id, { aliases: ['kept'] })).json.former_aliases).toEqual(['Old-Name']);
    const taken = [409, 'model_alias_taken', 'aliases'];
    expect((await add(definition({ aliases: ['old-name'] }))).outcome).toEqual(taken);
    expect((await add(definition({ id: 'old-name' }))).outcome).toEqual([409, 'model_id_taken', 'id']);
    const other = await added();
    expect((await edit(other.id, { aliases: ['old-name'] })).outcome).toEqual(taken);
    expect((await edit(id, { aliases: ['old-name'] })).json).toMatchObject({
      aliases: ['old-name'],
      former_aliases: ['kept'],
    });
    const draft = await added({ aliases: ['free-again'] });
    expect((await edit(draft.id, { aliases: [] })).json.former_aliases).toEqual([]);
    await added({ aliases: ['free-again'] });
  });

  it('keeps at most 64 former aliases', async () => {
    const { id } = await added({ aliases: [], prices: { standard: PRICE } });
    let outcome: unknown;
    for (let turn = 0; turn < 6; turn++) {
      const aliases = Array.from({ length: 16 }, (_, i) => `former-${turn}-${i}`);
      ({ outcome } = await edit(id, { aliases }));
    }
    expect(outcome).toEqual([409, 'too_many_former_aliases', 'aliases']);
  });
});

describe('a deletion', () => {
  it('is possible until there is a price or a node', async () => {
    const draft = await added();
    expect((await call('DELETE', `/${draft.id}`)).status).toBe(200);
    expect((await call('GET', `/${draft.id}`)).status).toBe(404);
    expect((await auditOf(draft.id)).map(({ action }) => action)).toEqual(['model.added', 'model.deleted']);
    expect((await call('DELETE', `/${draft.id}`)).outcome).toEqual([404, 'model_not_found', null]);

    const sold = await added({ prices: { standard: PRICE } });
    const joined = await added();
    await newJoinToken(joined.id);
    for (const { id } of [sold, joined, { id: 'deepseek-r1-zero' }])
      expect((await call('DELETE', `/${id}`)).outcome).toEqual([409, 'model_in_use', null]);
  });
});

it('there are at most as many models as every isolate can hold', async () => {
  const { results } = await env.DB.prepare('select count(*) as n from model').all<{ n: number }>();
  const missing = MODELS_MAX - results[0]!.n;
  await env.DB.prepare(
    `insert into model (id, name, aliases, model_paths, revision, license, reasoning, context_tokens,
      output_tokens_max, output_tokens_default)
    select 'filler-' || value, 'x', '[]', '[]', 'x', 'x', 0, 1, 1, 1 from json_each(?)`,
  )
    .bind(JSON.stringify(Array.from({ length: missing }, (_, i) => i)))
    .run();
  expect((await add(definition())).outcome).toEqual([409, 'too_many_models', null]);
});
