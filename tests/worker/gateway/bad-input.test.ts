/** Requests that are invalid before any field is read: wrong encodings, wrong routes and hidden content. */
import { describe, expect, it } from 'vitest';
import { BODY_BYTES_MAX } from '../../../worker/domain/body-size.ts';
import { answer, freshNetwork, stream } from '../fake-node.ts';
import { errorFaults, type RawRequest, sendRaw } from '../raw-request.ts';
import { Customer, newModel } from './client.ts';

const network = freshNetwork();
const model = newModel();
const customer = await Customer.withCredit();
const before = await customer.balance();

const bytes = (text: string) => new TextEncoder().encode(text);
const body = (over: object = {}) =>
  JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }], ...over });
const utf16 = (text: string) => new Uint8Array(Uint16Array.from(text, (char) => char.charCodeAt(0)).buffer);
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const withExtra = (json: string) => body().replace(/\}$/, `,"extra":${json}}`);
const ofSize = (size: number) => body({ user: 'x'.repeat(size - body({ user: '' }).length) });

function brokenOff(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => controller.enqueue(bytes(body().slice(0, 20))),
    pull: (controller) => controller.error(new Error('connection lost')),
  });
}

describe('a body', () => {
  const invalid: [string, RawRequest, number, string][] = [
    ['empty', { body: '' }, 400, 'invalid_json'],
    ['missing', { body: null }, 400, 'invalid_json'],
    ['of blanks', { body: ' \r\n ' }, 400, 'invalid_json'],
    ['an array', { body: `[${body()}]` }, 400, 'invalid_json'],
    ['a string', { body: '"x"' }, 400, 'invalid_json'],
    ['cut off', { body: body().slice(0, -1) }, 400, 'invalid_json'],
    ['two bodies', { body: body() + body() }, 400, 'invalid_json'],
    ['JSON with a comment', { body: `${body()} // hi` }, 400, 'invalid_json'],
    ['with NaN', { body: withExtra('NaN') }, 400, 'invalid_json'],
    ['invalid UTF-8', { body: Uint8Array.of(...bytes(body()), 0xff) }, 400, 'invalid_json'],
    ['an overlong encoding of a quote', { body: Uint8Array.of(0x7b, 0xc0, 0xa2, 0x7d) }, 400, 'invalid_json'],
    ['UTF-16', { body: utf16(body()) }, 400, 'invalid_json'],
    ['nested 100,000 levels deep', { body: withExtra(nested(100_000)) }, 400, 'invalid_json'],
    ['one level too deep', { body: withExtra(nested(40)) }, 400, 'invalid_json'],
    ['broken off', { body: brokenOff() }, 400, 'invalid_json'],
    ['one byte too large', { body: ofSize(BODY_BYTES_MAX + 1) }, 413, 'body_too_large'],
    [
      'declared to be too large',
      { body: body(), headers: { 'content-length': '999999999' } },
      413,
      'body_too_large',
    ],
    [
      'declared as gzip',
      { body: body(), headers: { 'content-encoding': 'gzip' } },
      415,
      'unsupported_encoding',
    ],
    [
      'declared as br twice',
      { body: body(), headers: { 'content-encoding': 'br, br' } },
      415,
      'unsupported_encoding',
    ],
    [
      'declared as latin1',
      { body: body(), headers: { 'content-type': 'application/json; charset=latin1' } },
      415,
      'unsupported_media_type',
    ],
    [
      'declared as a form',
      { body: body(), headers: { 'content-type': 'multipart/form-data; boundary=x' } },
      415,
      'unsupported_media_type',
    ],
    [
      'declared as text',
      { body: body(), headers: { 'content-type': 'text/plain, application/json' } },
      415,
      'unsupported_media_type',
    ],
  ];

  it.each(invalid)('that is %s is rejected, and nothing is held', async (_, ask, status, code) => {
    const response = await sendRaw(customer, ask);
    expect([response.status, response.error?.code]).toEqual([status, code]);
    expect(errorFaults(response)).toEqual([]);
    expect(network().calls).toEqual([]);
    expect(await customer.balance()).toEqual(before);
  });

  const valid: [string, (json: string) => RawRequest][] = [
    ['with a byte order mark', (json) => ({ body: `\uFEFF${json}` })],
    [
      'declared as UTF-8',
      (json) => ({ body: json, headers: { 'content-type': 'application/json; charset=UTF-8' } }),
    ],
    [
      'of another JSON type',
      (json) => ({ body: json, headers: { 'content-type': 'application/vnd.api+json' } }),
    ],
    ['declared as not encoded', (json) => ({ body: json, headers: { 'content-encoding': 'identity' } })],
    ['just deep enough', (json) => ({ body: json.replace(/\}$/, `,"extra":${nested(39)}}`) })],
    ['of exactly 4 MiB', (json) => ({ body: json.padEnd(BODY_BYTES_MAX) })],
    ['with brackets in its text', (json) => ({ body: json.replace('Hello', '['.repeat(1_000)) })],
    [
      'with nulls for what is optional',
      (json) => ({ body: json.replace(/\}$/, ',"stop":null,"tools":null,"n":null}') }),
    ],
  ];

  it.each(valid)('%s is answered', async (_, askWith) => {
    const usedModel = newModel();
    await network().add(usedModel, answer({ content: ['Yes'] }));
    const funded = await Customer.withCredit();
    const { status, text } = await sendRaw(funded, askWith(body({ model: usedModel })));
    expect([status, JSON.parse(text).choices?.[0].message.content]).toEqual([200, 'Yes']);
  });

  it('with a duplicate field uses the last one', async () => {
    const usedModel = newModel();
    const node = await network().add(usedModel, answer({ content: ['Yes'] }));
    const twice = body({ model: usedModel, max_tokens: 5 }).replace(/\}$/, ',"max_tokens":7}');
    expect((await sendRaw(await Customer.withCredit(), { body: twice })).status).toBe(200);
    expect(node.received[0]!.request.max_tokens).toBe(7);
  });

  it('cannot change the prototype of objects', async () => {
    const usedModel = newModel();
    const node = await network().add(usedModel, () => stream(answer({ content: ['Yes'] })));
    const funded = await Customer.withCredit();
    const polluting = '"__proto__":{"n":8,"polluted":1},"constructor":{"prototype":{"polluted":1}}';
    const { status } = await sendRaw(funded, {
      body: body({ model: usedModel }).replace(/\}$/, `,${polluting}}`),
    });
    expect(status).toBe(200);
    expect(node.received[0]!.request.n).toBeUndefined();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    const hidden = await sendRaw(funded, { body: `{"__proto__":${body()}}` });
    expect(hidden.error).toMatchObject({ code: 'invalid_value', param: 'model' });
  });
});

describe('a conversation', () => {
  it('with consecutive turns, text parts and old reasoning is passed on in the form that the engine accepts', async () => {
    const usedModel = newModel();
    const node = await network().add(usedModel, answer({ content: ['Yes'] }));
    const part = (text: string) => ({ type: 'text', text });
    const messages = [
      { role: 'developer', content: 'Be brief.' },
      { role: 'user', content: 'One' },
      { role: 'user', content: [part('Two'), part(' three')] },
      { role: 'assistant', content: 'Four', reasoning_content: 'SECRET', refusal: null, audio: null },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', content: [part('5')], tool_call_id: 'a' },
    ];
    const { status } = await sendRaw(await Customer.withCredit(), {
      body: body({ model: usedModel, messages }),
    });
    expect(status).toBe(200);
    expect(node.received[0]!.request.messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'One' },
      { role: 'user', content: 'Two three' },
      { role: 'assistant', content: 'Four' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', content: '5', tool_call_id: 'a' },
    ]);
  });

  it('with a model that does not reason may have logprobs, in their full shape', async () => {
    const usedModel = newModel();
    const logprobs = {
      content: [{ token: 'Yes', bytes: [89], logprob: -0.1, top_logprobs: [] }],
      engine_only: 1,
    };
    const usage = { prompt_tokens: 10, cached_tokens: 0, completion_tokens: 1, reasoning_tokens: 0 };
    const choice = { index: 0, delta: { content: 'Yes' }, finish_reason: 'stop' as const, logprobs };
    const node = await network().add(usedModel, () =>
      stream([{ choices: [choice], usage }, 'data: [DONE]\n\n']),
    );
    const requestBody = body({ model: usedModel, logprobs: true, top_logprobs: 2 });
    const { status, text } = await sendRaw(await Customer.withCredit(), { body: requestBody });
    expect(status).toBe(200);
    expect(node.received[0]!.request).toMatchObject({ logprobs: true, top_logprobs: 2 });
    expect(JSON.parse(text).choices[0].logprobs).toEqual({ content: logprobs.content, refusal: null });
  });
});

describe('a model name', () => {
  it.each([
    'a\r\nset-cookie: x=1',
    '<script>alert(1)</script>',
    '\u202egpt',
    '🚀',
    '../../etc/passwd',
    "' or 1=1 --",
    '__proto__',
    '%00',
    '\u0000',
  ])('of %j is not found, and not reflected', async (name) => {
    const response = await sendRaw(customer, { body: body({ model: name }) });
    expect(errorFaults(response)).toEqual([]);
    expect([response.status, response.error!.code, response.error!.param]).toEqual([
      404,
      'model_not_found',
      'model',
    ]);
    expect(response.text).not.toContain(JSON.stringify(name).slice(1, -1));
    expect(JSON.stringify([...response.headers])).not.toContain(JSON.stringify(name).slice(1, -1));
  });

  it.each(['gpt-5', 'constructor'])('of %j is not found, and named in the message', async (name) => {
    const response = await sendRaw(customer, { body: body({ model: name }) });
    expect([response.status, response.error!.code]).toEqual([404, 'model_not_found']);
    expect(response.error!.message).toContain(`The model \`${name}\` does not exist`);
  });
});

describe('a route', () => {
  const wrongMethod: [string, string][] = [
    ['GET', '/v1/chat/completions'],
    ['PUT', '/v1/chat/completions'],
    ['DELETE', '/chat/completions'],
    ['PATCH', '/beta/chat/completions'],
    ['POST', '/v1/models'],
  ];
  const unknown: [string, string][] = [
    ['POST', '/v1/chat/completions/'],
    ['POST', '/v1/chat'],
    ['POST', '/v1//chat/completions'],
    ['POST', '/v1/Chat/Completions'],
    ['GET', '/v1/nothing'],
    ['GET', '/v1/__proto__'],
    ['GET', '/v1/%2e%2e%2fkeys'],
    ['GET', '/v1/%ff'],
  ];

  it.each(wrongMethod)('%s %s has another method and gets a JSON error', async (method, path) => {
    const response = await sendRaw(customer, { method, path, ...(method === 'GET' ? {} : { body: body() }) });
    expect(errorFaults(response)).toEqual([]);
    expect([response.status, response.error!.code]).toEqual([405, 'method_not_allowed']);
  });

  it.each(unknown)('%s %s does not exist and gets a JSON error', async (method, path) => {
    const response = await sendRaw(customer, { method, path, ...(method === 'GET' ? {} : { body: body() }) });
    expect(errorFaults(response)).toEqual([]);
    expect([response.status, response.error!.code]).toEqual([404, 'route_not_found']);
  });
});

describe('headers', () => {
  it('with two keys are rejected, and so is a key in quotes, with a tab, or twice', async () => {
    const { key } = customer;
    for (const authorization of [
      `Bearer ${key}, Bearer ${key}`,
      `Bearer "${key}"`,
      `Bearer ${key}\t${key}`,
      `Bearer ${key}${key}`,
      `Basic ${key}`,
      key,
    ]) {
      const response = await sendRaw(customer, { headers: { authorization }, body: body() });
      expect([authorization, response.status, response.error!.code]).toEqual([
        authorization,
        401,
        'invalid_api_key',
      ]);
      expect(errorFaults(response)).toEqual([]);
      expect(response.text).not.toContain(key);
    }
  });
});
