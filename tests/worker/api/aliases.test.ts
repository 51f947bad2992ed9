/** Aliases through the API: set and removed by a management key, and good for every key, dialect and batch of the account. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { createKey, type NewKey } from '../../../worker/db/keys.ts';
import { ALIASES_MAX } from '../../../worker/db/model-aliases.ts';
import { usd } from '../../../worker/domain/money.ts';
import { config } from '../../../worker/env.ts';
import { pepperKey } from '../../../worker/tokens/pepper.ts';
import { call, create, hasEnded, line, results, sellBatches, until } from '../batches/fixtures.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { Customer, env, newModel } from '../gateway/client.ts';

await sellBatches(60);
const network = freshNetwork();
const NAME = 'claude-haiku-4-5-20251001';

let customer: Customer;
let manager: { key: string };
beforeEach(async () => {
  customer = await Customer.withCredit(usd(1));
  manager = { key: await newKey({ scope: 'management' }) };
});
afterEach(() => {
  vi.useRealTimers();
});

async function newKey(terms: Partial<NewKey>): Promise<string> {
  const request = { accountId: customer.accountId, name: 'another', nowMs: Date.now(), ...terms };
  return (await createKey(database(env), await pepperKey(config(env)), request)).key;
}

async function ask(caller: { key: string }, method: string, path: string, body?: object) {
  const response = await call(caller, method, path, body);
  return { status: response.status, body: (await response.json()) as Record<string, never> };
}
const set = (name: string, body: object, caller = manager) =>
  ask(caller, 'PUT', `/v1/aliases/${encodeURIComponent(name)}`, body);

async function servedModel(): Promise<string> {
  const model = newModel();
  await network().add(model, () => stream(answer({ prompt: 3, content: ['Yes.'] })));
  return model;
}

describe('a request that names an alias', () => {
  const PATHS = [
    ['/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }] }],
    ['/v1/completions', { prompt: 'a' }],
    ['/v1/responses', { input: 'a' }],
    ['/v1/messages', { messages: [{ role: 'user', content: 'a' }], max_tokens: 9 }],
  ] as const;

  it.each(PATHS)('is answered by its model at %s, which the answer names', async (path, body) => {
    const model = await servedModel();
    expect(await set(NAME, { model })).toMatchObject({
      status: 200,
      body: { id: NAME, model, effort: null },
    });
    const { status, body: answered } = await ask(customer, 'POST', path, {
      ...body,
      model: NAME.toUpperCase(),
    });
    expect(answered).toMatchObject({ model });
    expect(status).toBe(200);
  });

  it('is refused to a key and a token that may not use the model, and allowed to those that may', async () => {
    const [model, other] = [await servedModel(), newModel()];
    await set(NAME, { model });
    const body = { model: NAME, messages: [{ role: 'user', content: 'a' }] };
    const statusOf = async (key: string) => (await ask({ key }, 'POST', '/v1/chat/completions', body)).status;
    expect(await statusOf(await newKey({ models: [model] }))).toBe(200);
    expect(await statusOf(await newKey({ models: [other] }))).toBe(403);
    const token = async (models: string[]) =>
      (
        (await ask(customer, 'POST', '/v1/tokens', { cap: '0.1', models })).body as unknown as {
          token: string;
        }
      ).token;
    expect(await statusOf(await token([model]))).toBe(200);
    expect(await statusOf(await token([other]))).toBe(403);
  });

  it('is known to the account that set it alone', async () => {
    const model = await servedModel();
    await set(NAME, { model });
    const stranger = await Customer.withCredit(usd(1));
    const { status, chunks } = await stranger.ask({ model: NAME });
    expect([status, chunks[0]!.error!.code]).toEqual([404, 'model_not_found']);
    expect(chunks[0]!.error!.message).toContain('make it an alias: https://tollgate.test/aliases');
    expect((await stranger.ask({ model: 'my-model' })).chunks[0]!.error!.message).not.toContain('alias');
  });

  it('gets a changed alias once the record of its key is five seconds old, and reads no table of its own', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
    const [model, second] = [await servedModel(), await servedModel()];
    await set(NAME, { model });
    const modelOf = async () =>
      JSON.parse((await customer.ask({ model: NAME })).text).model as string | undefined;
    expect(await modelOf()).toBe(model);
    const prepare = vi.spyOn(env.DB, 'prepare');
    expect(await modelOf()).toBe(model);
    expect(prepare.mock.calls.filter(([sql]) => sql.includes('model_alias'))).toEqual([]);
    prepare.mockRestore();
    await set(NAME, { model: second });
    vi.setSystemTime(Date.now() + 5_001);
    expect(await modelOf()).toBe(second);
    expect((await ask(manager, 'DELETE', `/v1/aliases/${NAME}`)).body).toMatchObject({ deleted: true });
    vi.setSystemTime(Date.now() + 5_001);
    expect((await customer.ask({ model: NAME })).status).toBe(404);
  });

  it('runs in a batch', async () => {
    const model = await servedModel();
    await set(NAME, { model });
    const { id } = await create(customer, [
      line('a', { model: NAME, messages: [{ role: 'user', content: 'x' }] }),
    ]);
    const ended = await until(customer, id, hasEnded);
    const answers = await results(customer, ended.output_file_id);
    expect(answers[0]!.response).toMatchObject({ status_code: 200, body: { model } });
  });
});

describe('the list of models', () => {
  it('has the aliases of whoever sends a key, and only theirs', async () => {
    const model = await servedModel();
    await set('anthropic/claude-x', { model, effort: 'none' });
    const idsOf = async (path: string, caller: { key: string }) =>
      ((await ask(caller, 'GET', path)).body as unknown as { data: { id: string }[] }).data.map(
        ({ id }) => id,
      );
    const path = '/anthropic/v1/models?limit=1000';
    expect(await idsOf(path, customer)).toContain('anthropic/claude-x');
    expect(await idsOf(path, { key: 'none' })).not.toContain('anthropic/claude-x');
    expect(await idsOf(path, await Customer.withCredit(usd(1)))).not.toContain('anthropic/claude-x');
    // once only: this list asks the Pool of each of the hundreds of test models
    expect(await idsOf('/v1/models', customer)).toContain('anthropic/claude-x');
    expect((await ask(customer, 'GET', '/v1/models/anthropic/claude-x')).body).toMatchObject({
      id: 'anthropic/claude-x',
      tollgate: { alias_of: model, effort: 'none' },
    });
  });
});

describe('an alias', () => {
  it.each([
    ['with a space', 'a b', {}, 'id'],
    ['that is too long', 'x'.repeat(65), {}, 'id'],
    ['of a model', 'deepseek-v3-0324', {}, 'id'],
    ['of a model in capitals', 'DeepSeek-V3-0324', {}, 'id'],
    ['for no model', 'a', { model: 'nobody' }, 'model'],
    ['for another alias', 'b', { model: NAME }, 'model'],
    ['with an effort that the model does not have', 'a', { effort: 'low' }, 'effort'],
    ['with an effort that is none', 'a', { effort: 'LOW!' }, 'effort'],
  ])('%s is refused', async (_, name, fields, param) => {
    const model = newModel();
    await set(NAME, { model });
    const { status, body } = await set(name, { model, ...fields });
    expect([status, (body as { error?: { param: string } }).error?.param]).toEqual([400, param]);
  });

  it('is set and removed by management keys alone, and read by any key', async () => {
    const model = newModel();
    expect((await set(NAME, { model }, customer)).status).toBe(403);
    expect((await set(NAME, { model })).status).toBe(200);
    expect((await ask(customer, 'DELETE', `/v1/aliases/${NAME}`)).status).toBe(403);
    expect((await ask(customer, 'GET', '/v1/aliases')).body).toMatchObject({ data: [{ id: NAME, model }] });
    expect((await ask(manager, 'DELETE', `/v1/aliases/${NAME}`)).status).toBe(200);
    expect((await ask(manager, 'DELETE', `/v1/aliases/${NAME}`)).status).toBe(404);
  });

  it(`is one of ${ALIASES_MAX} at most, however many calls at once`, async () => {
    const model = newModel();
    await env.DB.batch(
      Array.from({ length: ALIASES_MAX - 1 }, (_, i) =>
        env.DB.prepare(
          "insert into model_alias (account_id, name, model_id, created_at_ms, created_by) values (?, ?, ?, 0, '')",
        ).bind(customer.accountId, `a-${i}`, model),
      ),
    );
    const made = await Promise.all(['x', 'y', 'z'].map((name) => set(name, { model })));
    expect(made.map(({ status }) => status).sort()).toEqual([200, 400, 400]);
    // an alias that exists can be changed all the same
    expect((await set('a-0', { model })).status).toBe(200);
  });

  it('leaves a trail', async () => {
    const model = newModel();
    await set(NAME, { model });
    await ask(manager, 'DELETE', `/v1/aliases/${NAME}`);
    const rows = await env.DB.prepare(
      "select action, detail from audit where account_id = ? and action like 'alias.%' order by at_ms",
    )
      .bind(customer.accountId)
      .all<{ action: string; detail: string }>();
    expect(rows.results.map(({ action }) => action)).toEqual(['alias.set', 'alias.removed']);
    expect(rows.results[0]!.detail).toContain(NAME);
  });
});

it('a name with a line break is refused with 400 wherever a path takes one', async () => {
  const name = encodeURIComponent('two\nlines');
  const path = `/v1/aliases/${name}`;
  const body = { model: newModel() };
  expect(await ask(manager, 'PUT', path, body)).toMatchObject({
    status: 400,
    body: { error: { param: 'id' } },
  });
  expect(await ask(manager, 'DELETE', path)).toMatchObject({ status: 400, body: { error: { param: 'id' } } });
  for (const models of ['/v1/models', '/models', '/anthropic/v1/models'])
    expect((await ask(manager, 'GET', `${models}/${name}`)).status).toBe(400);
});
