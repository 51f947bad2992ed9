/** The OpenAPI document: it has exactly the routes of the API, and real responses match its schemas. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { api } from '../../../worker/api/index.ts';
import { openApiDocument } from '../../../worker/api/openapi/document.ts';
import { usd } from '../../../worker/domain/money.ts';
import type { RateRequest } from '../../../worker/domain/rate-limit.ts';
import type { Env } from '../../../worker/env.ts';
import app from '../../../worker/index.ts';
import { call, create, hasEnded, hello, sellBatches, until } from '../batches/fixtures.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { Customer, env, newModel } from '../gateway/client.ts';

await sellBatches(5);
const ORIGIN = 'https://tollgate.test';
const network = freshNetwork();

type Schema = Record<string, unknown>;
interface Operation {
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
  security: Record<string, string[]>[];
}
const document = openApiDocument('https://tollgate.test', 'deepseek-r1-0528') as unknown as {
  paths: Record<string, Record<string, Operation>>;
  components: Schema;
};

it('has every route of the API and no other', () => {
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  // aliases of routes; the description of the listed route mentions them
  const aliases = [
    'POST /chat/completions',
    'POST /beta/chat/completions',
    'POST /completions',
    'POST /beta/completions',
    'POST /v1/messages',
    'POST /v1/messages/count_tokens',
    'GET /models',
    'GET /models/{id}',
    'GET /openapi.json',
  ];
  const routes = api.routes
    .map(({ method, path }) => `${method} ${path.replace(/:(\w+)(\{.+?\})?/g, '{$1}')}`)
    // the router takes no word where another route has a parameter, so the handler compares
    .map((route) => (route === 'POST /v1/responses/{id}' ? 'POST /v1/responses/input_tokens' : route));
  expect([...new Set(routes)].sort()).toEqual([...described, ...aliases].sort());
});

it('refers to no schema that it does not have', () => {
  const text = JSON.stringify(document);
  for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g))
    expect(document.components.schemas).toHaveProperty(name!);
});

it('describes tools and items of other types as clients write them', () => {
  const text = JSON.stringify(document.paths);
  expect(text).not.toMatch(/"const":"(set_aside|foreign|typed)"/);
  expect(text).toContain('"not":{"enum":["function","custom","namespace"]}');
  expect(text).toContain('"pattern":"^(bash|text_editor|memory)_\\\\d{8}$"');
});

describe('a response matches its schema', () => {
  let customer: Customer;
  let model: string;
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  beforeAll(async () => {
    customer = await Customer.withCredit(usd(1));
  });

  /** The violations of a real response against the document. */
  async function violations(method: string, path: string, response: Response): Promise<unknown> {
    const schema = document.paths[path]![method]!.responses[response.status]?.content?.['application/json'];
    if (!schema) return `${response.status} is not described`;
    const validate = ajv.compile({ ...schema.schema, components: document.components });
    const body: unknown = await response.json();
    return validate(body) ? [] : { body, errors: validate.errors };
  }
  const ask = (method: string, path: string, body?: object, caller: { key: string } = customer) =>
    call(caller, method.toUpperCase(), path, body);

  it('of every dialect, and of its errors', async () => {
    model = newModel();
    await network().add(model, () => stream(answer({ reasoning: ['So'], content: ['Hi'] })));
    const messages = [{ role: 'user', content: 'Hi' }];
    for (const [path, body] of [
      ['/v1/chat/completions', { messages }],
      ['/v1/responses', { input: 'Hi' }],
      ['/anthropic/v1/messages', { messages, max_tokens: 10 }],
      ['/v1/completions', { prompt: 'Hi' }],
    ] as const) {
      const good = await ask('post', path, { model, ...body });
      expect([path, good.status]).toEqual([path, 200]);
      expect([path, await violations('post', path, good)]).toEqual([path, []]);
      const bad = await ask('post', path, { model, ...body, temperature: 'hot' });
      expect([path, bad.status, await violations('post', path, bad)]).toEqual([path, 400, []]);
      const unknown = await ask('post', path, { model, ...body }, { key: 'sk-tg-nobody' });
      expect([path, unknown.status, await violations('post', path, unknown)]).toEqual([path, 401, []]);
    }
  });

  it('of every route that reads', async () => {
    const requestId = (await ask('post', '/v1/chat/completions', { model })).headers.get('x-request-id');
    for (const [path, url] of [
      ['/v1/models', '/v1/models'],
      ['/v1/models/{id}', `/v1/models/${model}`],
      ['/v1/models/{id}', '/v1/models/nobody'],
      ['/anthropic/v1/models', '/anthropic/v1/models'],
      ['/user/balance', '/user/balance'],
      ['/v1/key', '/v1/key'],
      ['/v1/usage', '/v1/usage'],
      ['/v1/usage', '/v1/usage?limit=0'],
      ['/v1/generations/{id}', `/v1/generations/${requestId}`],
      ['/v1/keys', '/v1/keys'],
      ['/v1/files', '/v1/files'],
      ['/v1/batches', '/v1/batches'],
      ['/v1/batches/{id}', '/v1/batches/batch_none'],
      ['/healthz', '/healthz'],
    ] as const) {
      expect([url, await violations('get', path, await ask('get', url))]).toEqual([url, []]);
    }
  });

  it('of keys, tokens, files and batches', async () => {
    const manager = await Customer.withCredit(usd(0), { scope: 'management' });
    const created = await ask('post', '/v1/keys', { name: 'a' }, manager);
    const { id } = (await created.clone().json()) as { id: string };
    expect(await violations('post', '/v1/keys', created)).toEqual([]);
    const rotated = await ask('post', `/v1/keys/${id}/rotate`, {}, manager);
    expect(await violations('post', '/v1/keys/{id}/rotate', rotated)).toEqual([]);
    expect(await violations('get', '/v1/keys', await ask('get', '/v1/keys', undefined, manager))).toEqual([]);
    const changed = await ask('patch', `/v1/keys/${id}`, { name: 'b' }, manager);
    expect(await violations('patch', '/v1/keys/{id}', changed)).toEqual([]);
    const deleted = await ask('delete', `/v1/keys/${id}`, undefined, manager);
    expect(await violations('delete', '/v1/keys/{id}', deleted)).toEqual([]);
    const minted = await ask('post', '/v1/tokens', { cap: '1' });
    const { token } = (await minted.clone().json()) as { token: string };
    expect(await violations('post', '/v1/tokens', minted)).toEqual([]);
    const ofToken = await ask('get', '/v1/key', undefined, { key: token });
    expect(await violations('get', '/v1/key', ofToken)).toEqual([]);

    const batch = await create(customer, [hello('nobody', 'a')]);
    await until(customer, batch.id, hasEnded);
    for (const [path, url] of [
      ['/v1/batches', '/v1/batches'],
      ['/v1/batches/{id}', `/v1/batches/${batch.id}`],
      ['/v1/files', '/v1/files'],
      ['/v1/files/{id}', `/v1/files/${String(batch.input_file_id)}`],
    ] as const) {
      expect([url, await violations('get', path, await ask('get', url))]).toEqual([url, []]);
    }
  });
});

describe('a refusal is described', () => {
  /** Counters that refuse everything. */
  const refusing: Env = {
    ...env,
    RATE_LIMITER: {
      getByName: () => ({
        take: async (requests: readonly RateRequest[]) => ({
          allowed: false,
          states: requests.map((request) => ({ ...request, remaining: 0, resetMs: 7_000 })),
        }),
      }),
    } as unknown as Env['RATE_LIMITER'],
  };
  const JSON_TYPE = { 'content-type': 'application/json' };

  /** What may be wrong with a call of any route. `who` makes its key. */
  const CALLS: Record<string, (key: string, other: string) => RequestInit & { env?: Env }> = {
    'no key': () => ({ headers: JSON_TYPE, body: '{}' }),
    'a key of the wrong kind': (_, other) => ({
      headers: { ...JSON_TYPE, authorization: `Bearer ${other}` },
      body: '{}',
    }),
    'two keys': (key, other) => ({
      headers: { ...JSON_TYPE, authorization: `Bearer ${key}`, 'x-api-key': other },
      body: '{}',
    }),
    'no JSON': (key) => ({ headers: { ...JSON_TYPE, authorization: `Bearer ${key}` }, body: '{' }),
    'another media type': (key) => ({
      headers: { authorization: `Bearer ${key}`, 'content-type': 'text/plain' },
      body: 'a',
    }),
    'a compressed body': (key) => ({
      headers: { ...JSON_TYPE, authorization: `Bearer ${key}`, 'content-encoding': 'gzip' },
      body: 'a',
    }),
    'a body that is too large': (key) => ({
      headers: { ...JSON_TYPE, authorization: `Bearer ${key}` },
      body: ' '.repeat(4 * 1024 * 1024 + 1),
    }),
    'a form without a boundary': (key) => ({
      headers: { authorization: `Bearer ${key}`, 'content-type': 'multipart/form-data; xboundary=a' },
      body: 'a',
    }),
    'too many calls': (key) => ({
      headers: { ...JSON_TYPE, authorization: `Bearer ${key}` },
      body: '{}',
      env: refusing,
    }),
  };

  it.each(Object.keys(CALLS))('of %s, on every route', async (name) => {
    const inference = await Customer.withCredit(usd(1));
    const management = await Customer.withCredit(usd(0), { scope: 'management' });
    const undescribed: unknown[] = [];
    const seen = new Set<number>();
    for (const [path, methods] of Object.entries(document.paths))
      for (const [method, { responses }] of Object.entries(methods)) {
        const [own, other] = path.startsWith('/v1/keys') ? [management, inference] : [inference, management];
        const { env: using = env, body, ...init } = CALLS[name]!(own.key, other.key);
        const url = ORIGIN + path.replace('{id}', 'none');
        const hasBody = method !== 'get' && method !== 'delete';
        const context = createExecutionContext();
        const request = new Request(url, { ...init, method: method.toUpperCase(), ...(hasBody && { body }) });
        const response = await app.fetch(request, using, context);
        await response.arrayBuffer();
        await waitOnExecutionContext(context);
        seen.add(response.status);
        if (!(response.status in responses)) undescribed.push([method, path, response.status]);
      }
    expect(undescribed).toEqual([]);
    expect(Math.max(...seen)).toBeGreaterThanOrEqual(400);
  });
});
