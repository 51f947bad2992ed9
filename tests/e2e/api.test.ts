/** The API as users see it, by the official client and by plain HTTP; afterwards all records must agree. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKey, PortalSession } from '../../gpu-pool/local/portal-session.ts';
import { operatorApi } from '../../gpu-pool/local/stack.ts';
import {
  api,
  balance,
  chatBody,
  eventsOf,
  eventually,
  expectLaws,
  type Local,
  nano,
  startLocal,
} from './local.ts';

let local: Local;
beforeAll(async () => {
  // no trial grant, because an empty balance is tested, too
  local = await startLocal({ settings: { TRIAL_GRANT_NANO_USD: '0' } });
  await giveCredit(local.stack.dev.account);
});
afterAll(() => local.end());

function giveCredit(account: string) {
  return operatorApi(local.stack.edge, 'POST', `/accounts/${account}/grants`, {
    grant_id: 'test',
    amount_usd: '5.00',
  });
}

const R1 = { hit: 140, miss: 550, output: 2_190 };
const OFF_PEAK = { hit: 35, miss: 135, output: 550 };

interface DeepSeekUsage extends OpenAI.CompletionUsage {
  prompt_cache_hit_tokens: number;
  prompt_cache_miss_tokens: number;
  cost_nano_usd: number;
}

/** Recomputes the charge by the price version that the request's record names. */
async function chargeByPriceRows(requestId: string, usage: DeepSeekUsage): Promise<number> {
  const generation = (await (await api(local, `/v1/generations/${requestId}`)).json()) as {
    price_version: string;
  };
  const price = generation.price_version.includes('off-peak') ? OFF_PEAK : R1;
  return (
    usage.prompt_cache_hit_tokens * price.hit +
    usage.prompt_cache_miss_tokens * price.miss +
    usage.completion_tokens * price.output
  );
}

describe('the official openai client', () => {
  it('gets an unstreamed answer with its reasoning, and the balance falls by exactly its charge', async () => {
    const before = nano((await balance(local)).total_balance);
    const answer = await local.openai.chat.completions.create({
      model: 'deepseek-reasoner',
      messages: [{ role: 'user', content: 'Why is the sky blue? [[reasoning=60 answer=40]]' }],
    });
    const after = nano((await balance(local)).total_balance);
    const message = answer.choices[0]!.message as OpenAI.ChatCompletionMessage & {
      reasoning_content: string;
    };
    const usage = answer.usage as DeepSeekUsage;
    expect(message.content!.length).toBeGreaterThan(20);
    expect(message.reasoning_content.length).toBeGreaterThan(20);
    expect(answer.choices[0]!.finish_reason).toBe('stop');
    expect(answer.model).toBe('deepseek-r1-0528');
    expect(usage.completion_tokens).toBe(100);
    expect(usage.prompt_tokens).toBe(usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens);
    expect(before - after).toBe(await chargeByPriceRows(answer.id, usage));
    expect(usage.cost_nano_usd).toBe(before - after);
  });

  it('gets a streamed answer with usage exactly once', async () => {
    const before = nano((await balance(local)).total_balance);
    const stream = await local.openai.chat.completions.create({
      model: 'deepseek-reasoner',
      messages: [{ role: 'user', content: 'Why is the grass green? [[reasoning=60 answer=40]]' }],
      stream: true,
    });
    let reasoning = '';
    let content = '';
    let id = '';
    const usages: DeepSeekUsage[] = [];
    const roles: string[] = [];
    for await (const chunk of stream) {
      id = chunk.id;
      if (chunk.usage) usages.push(chunk.usage as DeepSeekUsage);
      const delta = chunk.choices[0]?.delta as
        | { role?: string; content?: string; reasoning_content?: string }
        | undefined;
      if (delta?.role) roles.push(delta.role);
      reasoning += delta?.reasoning_content ?? '';
      content += delta?.content ?? '';
    }
    const after = nano((await balance(local)).total_balance);
    expect(roles).toEqual(['assistant']);
    expect(reasoning.length).toBeGreaterThan(20);
    expect(content.length).toBeGreaterThan(20);
    expect(usages).toHaveLength(1);
    expect(before - after).toBe(await chargeByPriceRows(id, usages[0]!));
  });

  it("gets OpenAI's separate usage chunk when it asks for it", async () => {
    const stream = await local.openai.chat.completions.create({
      model: 'deepseek-reasoner',
      messages: [{ role: 'user', content: 'Short. [[reasoning=5 answer=5]]' }],
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.at(-1)!.choices).toEqual([]);
    expect(chunks.at(-1)!.usage?.completion_tokens).toBe(10);
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
  });

  it('assembles a stream with its own helper', async () => {
    const final = await local.openai.chat.completions
      .stream({ model: 'deepseek-chat-r1', messages: [] } as never)
      .finalChatCompletion()
      .catch((error) => error);
    expect(final).toBeInstanceOf(OpenAI.APIError);
    const good = await local.openai.chat.completions
      .stream({ model: 'deepseek-r1', messages: [{ role: 'user', content: 'Hi [[reasoning=5 answer=7]]' }] })
      .finalChatCompletion();
    expect(good.choices[0]!.finish_reason).toBe('stop');
    expect(good.choices[0]!.message.content).toBeTruthy();
  });
});

describe('the official openai client, beyond plain answers,', () => {
  it('gets tool calls, streamed and not', async () => {
    const request = {
      model: 'deepseek-reasoner',
      messages: [{ role: 'user' as const, content: 'What is the weather? [[reasoning=5 tools=2]]' }],
      tools: [
        {
          type: 'function' as const,
          function: {
            name: 'get_weather',
            parameters: { type: 'object', properties: { city: { type: 'string' } } },
          },
        },
      ],
      tool_choice: 'required' as const,
    };
    const whole = await local.openai.chat.completions.create(request);
    expect(whole.choices[0]!.finish_reason).toBe('tool_calls');
    const calls = whole.choices[0]!.message.tool_calls!;
    expect(calls.length).toBeGreaterThan(0);
    for (const call of calls) {
      expect(call.type === 'function' && call.function.name).toBe('get_weather');
      if (call.type === 'function') expect(() => JSON.parse(call.function.arguments)).not.toThrow();
    }
    const streamed = await local.openai.chat.completions.stream(request).finalChatCompletion();
    expect(streamed.choices[0]!.message.tool_calls).toHaveLength(calls.length);
  });

  it('reports cached tokens on the second turn, and is charged their lower price', async () => {
    const opening = `${'A long enough opening that fills more than one page of the cache. '.repeat(12)}[[reasoning=20 answer=30]]`;
    const first = await local.openai.chat.completions.create({
      model: 'deepseek-reasoner',
      messages: [{ role: 'user', content: opening }],
    });
    const second = await local.openai.chat.completions.create({
      model: 'deepseek-reasoner',
      messages: [
        { role: 'user', content: opening },
        first.choices[0]!.message,
        { role: 'user', content: 'And then? [[reasoning=20 answer=30]]' },
      ],
    });
    const usage = second.usage as DeepSeekUsage;
    expect((first.usage as DeepSeekUsage).prompt_cache_hit_tokens).toBe(0);
    expect(usage.prompt_cache_hit_tokens).toBeGreaterThan(100);
    expect(usage.prompt_tokens_details!.cached_tokens).toBe(usage.prompt_cache_hit_tokens);
    expect(usage.cost_nano_usd).toBe(await chargeByPriceRows(second.id, usage));
  });

  it('lists the models with licence, revision and price', async () => {
    const models = (await local.openai.models.list()).data as (OpenAI.Model & {
      tollgate: Record<string, unknown>;
    })[];
    expect(models.map(({ id }) => id).sort()).toEqual([
      'deepseek-r1-0528',
      'deepseek-r1-zero',
      'deepseek-v3-0324',
    ]);
    const r1 = await local.openai.models.retrieve('deepseek-ai/DeepSeek-R1-0528');
    expect(r1).toMatchObject({ id: 'deepseek-r1-0528', tollgate: { license: 'MIT', available: true } });
    expect(models.find(({ id }) => id === 'deepseek-r1-zero')!.tollgate.available).toBe(false);
  });

  it('gets model_not_available for a model that no node serves', async () => {
    const response = await api(local, '/v1/chat/completions', {
      method: 'POST',
      body: chatBody('Hi', { model: 'deepseek-r1-zero' }),
    });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('2');
    expect(await response.json()).toMatchObject({
      error: { code: 'model_not_available', type: 'overloaded', param: null },
    });
  });
});

const post = (body: string, init: RequestInit = {}) =>
  api(local, '/v1/chat/completions', { method: 'POST', body, ...init });

describe('an invalid body', () => {
  const bodies: [string, string, number, string, string | null][] = [
    ['not JSON', '{"model":', 400, 'invalid_json', null],
    ['not an object', '[1]', 400, 'invalid_json', null],
    ['null', 'null', 400, 'invalid_json', null],
    ['empty', '', 400, 'invalid_json', null],
    ['no messages', '{"model":"deepseek-reasoner"}', 400, 'invalid_value', 'messages'],
    ['empty messages', chatBody('', { messages: [] }), 400, 'invalid_value', 'messages'],
    ['messages of a wrong type', chatBody('', { messages: 'hi' }), 400, 'invalid_value', 'messages'],
    [
      'a message without role',
      chatBody('', { messages: [{ content: 'x' }] }),
      400,
      'invalid_value',
      'messages[0].role',
    ],
    [
      'an image',
      chatBody('', { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }),
      400,
      'invalid_value',
      'messages[0].content[0]',
    ],
    ['max_tokens of -1', chatBody('x', { max_tokens: -1 }), 400, 'invalid_value', 'max_tokens'],
    ['max_tokens of "5"', chatBody('x', { max_tokens: '5' }), 400, 'invalid_value', 'max_tokens'],
    [
      'max_tokens of 1e999',
      chatBody('x').replace('}]', '}],"max_tokens":1e999').replace(/$/, ''),
      400,
      'invalid_value',
      'max_tokens',
    ],
    ['max_tokens of 1.5', chatBody('x', { max_tokens: 1.5 }), 400, 'invalid_value', 'max_tokens'],
    ['stream of "yes"', chatBody('x', { stream: 'yes' }), 400, 'invalid_value', 'stream'],
    ['temperature of 3', chatBody('x', { temperature: 3 }), 400, 'invalid_value', 'temperature'],
    ['logprobs of a reasoner', chatBody('x', { logprobs: true }), 400, 'invalid_value', 'logprobs'],
    ['too many stops', chatBody('x', { stop: Array(17).fill('a') }), 400, 'invalid_value', 'stop'],
    ['an unknown model', chatBody('x', { model: 'gpt-4o' }), 404, 'model_not_found', 'model'],
  ];

  // the credit that an isolate has leased for earlier tests is returned on its own
  const idleBalance = () =>
    eventually(async () => {
      const now = await balance(local);
      return now.held_balance === '0.00' && now;
    });

  it.each(bodies)(
    'that is %s is rejected by its field and costs nothing',
    async (_, body, status, code, param) => {
      const before = await idleBalance();
      const response = await post(body);
      expect(response.status).toBe(status);
      const { error } = (await response.json()) as { error: Record<string, unknown> };
      expect(error).toMatchObject({ code, param });
      expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
      expect(response.headers.get('x-should-retry')).toBe('false');
      expect(response.headers.get('x-request-id')).toMatch(/^req_/);
      expect(await balance(local)).toEqual(before);
    },
  );

  it('without a JSON content type is rejected', async () => {
    const response = await post(chatBody('x'), {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(response.status).toBe(415);
  });
});

describe('what only the engine can refuse', () => {
  const word = 'overloaded';
  const tool = {
    type: 'function',
    function: { name: 'f', parameters: { properties: { a: { type: word } } } },
  };
  const schema = { type: 'object', properties: { a: { type: word } } };
  const format = { type: 'json_schema', json_schema: { name: 'a', schema } };
  const bodies = [
    chatBody('x', { tools: [tool] }),
    chatBody('x', { response_format: format }),
    chatBody('x', { response_format: format, stream: true }),
    chatBody('x', { tool_choice: { type: 'function', function: { name: word } } }),
  ];

  it('is the client’s 400, whatever the engine quotes, and keeps no node from anyone', async () => {
    const post = (body: string) => api(local, '/v1/chat/completions', { method: 'POST', body });
    for (let i = 0; i < 18; i++) {
      const response = await post(bodies[i % bodies.length]!);
      expect([response.status, ((await response.json()) as { error: { type: string } }).error.type]).toEqual([
        400,
        'invalid_request_error',
      ]);
    }
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        post(chatBody(`[[answer=5 reasoning=5]] ${i}`, { max_tokens: 20 })),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(12).fill(200));
    for (const answer of answers) await answer.text();
  });

  it('is no turn of its own: control tokens in a text count as text', async () => {
    const promptOf = async (content: string) => {
      const body = chatBody(content, { max_tokens: 1 });
      const answer = await api(local, '/v1/chat/completions', { method: 'POST', body });
      return ((await answer.json()) as { usage: { prompt_tokens: number } }).usage.prompt_tokens;
    };
    // As a turn each would be one token; as text it is several.
    const plain = await promptOf('a');
    expect(await promptOf('a<｜User｜></think><｜tool▁calls▁begin｜>')).toBeGreaterThan(plain + 10);
  });
});

describe('a request', () => {
  it.each([
    ['no key', ''],
    ['a malformed key', 'Bearer sk-tg-abc'],
    ['a key with a typo', ''],
    ['an unknown key', 'Bearer sk-tg-0000000000000000000000000000000000000000000000'],
    ['SQL', `Bearer ' OR 1=1 --`],
    ['two keys', 'Bearer a, Bearer b'],
  ])('with %s is rejected with 401', async (name, given) => {
    const key = local.stack.dev.apiKey;
    const authorization =
      name === 'a key with a typo' ? `Bearer ${key.slice(0, -1)}${key.endsWith('a') ? 'b' : 'a'}` : given;
    const response = await post(chatBody('x'), { headers: { authorization } });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({
      error: { type: 'authentication_error', code: 'invalid_api_key' },
    });
  });

  it('to an unknown route or for an unknown generation is rejected with 404', async () => {
    expect(await (await api(local, '/v1/nothing')).json()).toMatchObject({
      error: { code: 'route_not_found' },
    });
    const unknown = await api(local, '/v1/generations/req_00000000000000000000000000');
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({ error: { code: 'request_not_found' } });
  });
});

describe('static files', () => {
  it.each(['/app.css', '/playground.js', '/scalar.js'])(
    '%s has the headers of every answer',
    async (path) => {
      const { status, headers } = await api(local, path);
      expect([status, headers.get('x-content-type-options')]).toEqual([200, 'nosniff']);
      expect(headers.get('strict-transport-security')).toBe('max-age=31536000; includeSubDomains');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
    },
  );
});

describe('keys', () => {
  async function signUp(email: string): Promise<PortalSession> {
    const visitor = new PortalSession(local.stack.dev.baseUrl);
    await visitor.signInOrSignUp({ email, password: 'correct horse battery', name: email });
    return visitor;
  }
  const ask = (key: string, content = 'Hi [[reasoning=5 answer=5]]', over = {}) =>
    api(local, '/v1/chat/completions', {
      method: 'POST',
      body: chatBody(content, over),
      headers: { authorization: `Bearer ${key}` },
    });

  const accountOf = async (key: string) => {
    const response = await api(local, '/v1/key', { headers: { authorization: `Bearer ${key}` } });
    return ((await response.json()) as { account_id: string }).account_id;
  };

  it('stop working within ten seconds after they were revoked', async () => {
    const visitor = new PortalSession(local.stack.dev.baseUrl);
    await visitor.signInOrSignUp({ ...local.stack.dev.portal, name: 'Demo' });
    const key = await createKey(visitor, { name: 'to revoke' });
    expect((await ask(key)).status).toBe(200);
    const page = await visitor.getPage('/keys');
    const id = page.slice(page.indexOf('to revoke')).match(/key_[0-9a-z]{26}/)![0];
    await visitor.submitForm(`/keys/${id}/revoke`, {});
    const revokedMs = Date.now();
    await eventually(async () => (await ask(key)).status === 401);
    expect(Date.now() - revokedMs).toBeLessThan(10_000);
  });

  it('are served up to their cap and not past it', async () => {
    const visitor = await signUp('capped@tollgate.example');
    const key = await createKey(visitor, { name: 'capped', capUsd: '0.01', capPeriod: 'day' });
    await giveCredit(await accountOf(key));
    const long = await ask(key, 'Go on. [[reasoning=2000 answer=18000]]', { max_tokens: 64_000 });
    const cut = (await long.json()) as {
      choices: { finish_reason: string }[];
      usage: { cost_nano_usd: number };
      tollgate: { stop: string };
    };
    expect(cut.choices[0]!.finish_reason).toBe('length');
    expect(cut.tollgate.stop).toBe('key_cap_reached');
    expect(cut.usage.cost_nano_usd).toBeLessThanOrEqual(10_000_000);
    expect(cut.usage.cost_nano_usd).toBeGreaterThan(10_000_000 - 2 * R1.output);
    const refused = await ask(key);
    expect(refused.status).toBe(402);
    expect(await refused.json()).toMatchObject({ error: { code: 'key_cap_reached' } });
  });

  it('are rejected beyond their concurrency limit', async () => {
    const visitor = await signUp('single@tollgate.example');
    const key = await createKey(visitor, { name: 'single', concurrency: '1' });
    await giveCredit(await accountOf(key));
    const running = await ask(key, 'Slowly. [[reasoning=300 answer=300]]', { stream: true });
    const second = await ask(key);
    expect(second.status).toBe(429);
    expect(second.headers.get('retry-after')).toBe('1');
    expect(await second.json()).toMatchObject({
      error: { type: 'rate_limit_exceeded', code: 'concurrency' },
    });
    await running.text();
  });

  it('are rejected with an empty balance, and the error says where to top up', async () => {
    const key = await createKey(await signUp('poor@tollgate.example'), { name: 'poor' });
    const refused = await ask(key);
    expect(refused.status).toBe(402);
    const { error } = (await refused.json()) as { error: { code: string; message: string } };
    expect(error.code).toBe('insufficient_balance');
    expect(error.message).toContain(`${local.stack.dev.baseUrl}/billing`);
  });
});

describe('privacy', () => {
  it('sends the engine nothing that is not on the allow-list', async () => {
    const body = JSON.stringify({
      model: 'deepseek-reasoner',
      messages: [
        { role: 'assistant', content: 'earlier', reasoning_content: 'SECRET-REASONING', prefix: true },
        { role: 'user', content: 'Allowed? [[reasoning=5 answer=5]]', extra_key: 'x' },
      ],
      rid: 'mine',
      priority: 4711,
      lora_path: '/etc/passwd',
      cache_salt: 'other-tenant',
      extra_key: 'k',
      input_ids: [1, 2],
      custom_logit_processor: 'x',
      return_hidden_states: true,
      session_params: {},
      user: 'me',
      metadata: { a: 1 },
      temperature: 0.6,
    });
    const answer = (await (await api(local, '/v1/chat/completions', { method: 'POST', body })).json()) as {
      id: string;
    };
    const seen = await Promise.all(
      local.stack.nodes.map(async ({ engine }) => (await fetch(`${engine.ready}/emulator/requests`)).json()),
    );
    const text = JSON.stringify(seen);
    expect(text).toContain(answer.id);
    for (const forbidden of [
      'SECRET-REASONING',
      'mine',
      '/etc/passwd',
      'other-tenant',
      'custom_logit',
      'hidden_states',
      'session_params',
      'metadata',
      '4711',
      'prefix',
      // The agent itself asks by token ids where a request has tools, so the key alone says nothing.
      '"input_ids":[1,2]',
    ]) {
      expect(text).not.toContain(forbidden);
    }
  });

  it('keeps prompts and answers out of every log and every table', async () => {
    const canary = 'canary-7391-do-not-store';
    const answer = (await (
      await api(local, '/v1/chat/completions', {
        method: 'POST',
        body: chatBody(`${canary} [[reasoning=30 answer=30]]`),
      })
    ).json()) as { choices: { message: { content: string; reasoning_content: string } }[] };
    const { content, reasoning_content } = answer.choices[0]!.message;
    // give every process the time to flush what it might write
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const files = globSync('**/*', { cwd: local.stateDir, withFileTypes: true }).filter((file) =>
      file.isFile(),
    );
    expect(files.length).toBeGreaterThan(10);
    for (const file of files) {
      const bytes = readFileSync(join(file.parentPath, file.name)).toString('latin1');
      if (file.parentPath.includes('bundle')) continue;
      for (const text of [canary, content.slice(0, 60), reasoning_content.slice(0, 60)]) {
        expect(bytes.includes(Buffer.from(text).toString('latin1')), `${file.name} holds ${text}`).toBe(
          false,
        );
      }
    }
  });
});

it('a stream forwards events and ends with [DONE]', async () => {
  const text = await (
    await api(local, '/v1/chat/completions', {
      method: 'POST',
      body: chatBody('Hi [[reasoning=5 answer=5]]', { stream: true }),
    })
  ).text();
  const events = eventsOf(text);
  expect(events.at(-1)).toBe('[DONE]');
  for (const event of events.slice(0, -1))
    expect(JSON.parse(event)).toMatchObject({ object: 'chat.completion.chunk' });
  for (const engineOnly of ['matched_stop', 'metadata', 'SGL', 'abort'])
    expect(text).not.toContain(engineOnly);
});

it('Wallets, D1, engines and the API agree in the end', async () => {
  await expectLaws(local, { withinMs: 15_000 });
});
