/** The emulator over HTTP: SGLang's shapes and quirks. */
import { describe, expect, it } from 'vitest';
import { complete, emulate, type Json, lastUsage, post, stream, textOf, user } from './client.ts';

const steered = (lengths: string) => user(`Tell me about caches. [[${lengths}]]`);

describe('chat completions', () => {
  it('answers in SGLang’s shape, with top-level reasoning_tokens and SGLang’s own members', async () => {
    const { url } = await emulate({ weightVersion: 'w7' });
    const answer = await complete(url, { messages: steered('reasoning=50 answer=200') });
    expect(answer.usage).toEqual({
      prompt_tokens: answer.usage.prompt_tokens,
      total_tokens: answer.usage.prompt_tokens + 250,
      completion_tokens: 250,
      prompt_tokens_details: { cached_tokens: 0 },
      reasoning_tokens: 50,
      completion_tokens_details: { reasoning_tokens: 50 },
    });
    expect(answer).toMatchObject({
      object: 'chat.completion',
      model: 'r1',
      metadata: { weight_version: 'w7' },
    });
    expect(answer).not.toHaveProperty('system_fingerprint');
    const [choice] = answer.choices;
    expect(choice).toMatchObject({ finish_reason: 'stop', matched_stop: 1, logprobs: null });
    expect(choice.message.reasoning_content).toMatch(/^Okay, let me think/);
    expect(choice.message.content).toMatch(/^Here is the answer/);
    expect(choice.message).not.toHaveProperty('tool_calls');
  });

  it('streams the same text as it answers without streaming, every time', async () => {
    const [one, two] = [await emulate(), await emulate({ speed: 2_000, profile: '8xmi300x' })];
    const messages = user('Explain prefix caches in depth.');
    const whole = await complete(one.url, { messages });
    const streamed = await stream(two.url, { messages });
    const { message } = whole.choices[0];
    expect(textOf(streamed, 'content')).toBe(message.content);
    expect(textOf(streamed, 'reasoning_content')).toBe(message.reasoning_content);
    expect(message.content.length).toBeGreaterThan(60);
    const other = await emulate({ seed: 2 });
    expect((await complete(other.url, { messages })).choices[0].message.content).not.toBe(message.content);
  });

  it('repeats an answer by its seed only with deterministic inference, and a greedy one always', async () => {
    const [sampling, deterministic] = [await emulate(), await emulate({ deterministicInference: true })];
    const texts = async (url: string, bodies: object[]) => {
      const messages = user('Write a poem.');
      const answers = await Promise.all(bodies.map((body) => complete(url, { messages, ...body })));
      return new Set(answers.map(({ choices }) => choices[0].message.content)).size;
    };
    const same = [{ seed: 7 }, { seed: 7 }, { seed: 7 }];
    expect(await texts(sampling.url, same)).toBe(3);
    expect(await texts(deterministic.url, same)).toBe(1);
    expect(await texts(deterministic.url, [{ seed: 7 }, { seed: 8 }])).toBe(2);
    expect(
      await texts(
        sampling.url,
        same.map((body) => ({ ...body, temperature: 0 })),
      ),
    ).toBe(1);
    const reported = async (url: string) =>
      ((await (await fetch(`${url}/server_info`)).json()) as Record<string, unknown>)
        .enable_deterministic_inference;
    expect([await reported(sampling.url), await reported(deterministic.url)]).toEqual([false, true]);
  });

  it('writes characters of two, three and four bytes', async () => {
    const { url } = await emulate();
    const { content } = (await complete(url, { messages: steered('answer=3000') })).choices[0].message;
    for (const size of [2, 3, 4]) {
      expect([...content].some((character) => Buffer.byteLength(character as string) === size)).toBe(true);
    }
  });

  it('begins with the role, carries reasoning_content in every delta and ends with [DONE]', async () => {
    const { url } = await emulate();
    const streamed = await stream(url, { messages: steered('reasoning=5 answer=9'), rid: 'rid-1' });
    const [first, second] = streamed.events;
    expect(first.choices[0].delta).toEqual({ reasoning_content: null, role: 'assistant', content: '' });
    expect(Object.keys(second.choices[0].delta)).toEqual(['reasoning_content']);
    for (const event of streamed.events) {
      expect(event).toMatchObject({ id: 'rid-1', object: 'chat.completion.chunk', model: 'r1' });
      for (const choice of event.choices) expect(choice.delta).toHaveProperty('reasoning_content');
    }
    expect(streamed.raw.endsWith('\n\ndata: [DONE]\n\n')).toBe(true);
    const [finish, usage] = streamed.events.slice(-2);
    expect(finish.choices[0]).toMatchObject({ finish_reason: 'stop', matched_stop: 1 });
    expect(usage.choices).toEqual([]);
    expect(usage.usage).toMatchObject({ completion_tokens: 14, reasoning_tokens: 5 });
  });

  it('sends no usage in a stream unless requested', async () => {
    const { url } = await emulate();
    const silent = await stream(url, {
      messages: steered('reasoning=3 answer=3'),
      stream_options: undefined,
    });
    expect(silent.raw).not.toContain('"usage"');
    const only = { include_usage: true };
    const last = await stream(url, { messages: steered('reasoning=3 answer=3'), stream_options: only });
    expect(last.events.filter((event) => event.usage)).toHaveLength(1);
  });

  it('counts continuous usage per choice and sums it in the last chunk', async () => {
    const { url } = await emulate();
    const streamed = await stream(url, { messages: steered('reasoning=2 answer=30'), n: 2 });
    const ofChoice = (index: number) =>
      streamed.events
        .filter((event) => event.usage && event.choices[0]?.index === index)
        .map((event) => event.usage.completion_tokens);
    // Tokens 2 and 32 are the end tag and the end token: they show nothing, so no chunk carries them.
    expect(ofChoice(0)).toEqual([1, ...Array.from({ length: 29 }, (_, at) => 3 + at)]);
    expect(ofChoice(1)).toEqual(ofChoice(0));
    expect(textOf(streamed, 'content', 0)).not.toBe(textOf(streamed, 'content', 1));
    expect(lastUsage(streamed)).toMatchObject({ completion_tokens: 64, reasoning_tokens: 4 });
    expect(streamed.events.at(-1).choices).toEqual([]);
    const prompts = new Set(streamed.events.flatMap((event) => event.usage?.prompt_tokens ?? []));
    expect(prompts.size).toBe(1);
  });

  it('ends at max_tokens with finish_reason length and matched_stop null', async () => {
    const { url } = await emulate();
    const answer = await complete(url, { messages: steered('reasoning=50 answer=50'), max_tokens: 20 });
    expect(answer.choices[0]).toMatchObject({ finish_reason: 'length', matched_stop: null });
    expect(answer.choices[0].message.content).toBe('');
    expect(answer.usage).toMatchObject({ completion_tokens: 20, reasoning_tokens: 20 });
  });

  it('stops before a stop string and names it', async () => {
    const { url } = await emulate();
    const messages = steered('reasoning=5 answer=50');
    const whole = (await complete(url, { messages })).choices[0].message.content as string;
    const stop = whole.slice(30, 37);
    const stopped = await complete(url, { messages, stop: ['never there', stop] });
    expect(stopped.choices[0].message.content).toBe(whole.slice(0, whole.indexOf(stop)));
    // In a stream, what the first tokens of the stop string have brought stays.
    const streamed = await stream(url, { messages, stop: ['never there', stop] });
    expect(whole.slice(0, whole.indexOf(stop) + stop.length)).toContain(textOf(streamed, 'content'));
    expect(streamed.events.at(-2).choices[0]).toMatchObject({ finish_reason: 'stop', matched_stop: stop });
    expect(lastUsage(streamed).completion_tokens).toBeLessThan(55);
  });

  it('does not reason as V3, and leaves the tag in the text without separate_reasoning', async () => {
    const v3 = await emulate({ modelPath: 'deepseek-ai/DeepSeek-V3-0324', reasoningParser: undefined });
    const plain = await complete(v3.url, { messages: steered('reasoning=9 answer=9') });
    expect(plain.choices[0].message.reasoning_content).toBeNull();
    expect(plain.usage).toMatchObject({ completion_tokens: 9, reasoning_tokens: 0 });
    const r1 = await emulate();
    const joined = await complete(r1.url, {
      messages: steered('reasoning=9 answer=9'),
      separate_reasoning: false,
    });
    expect(joined.choices[0].message.content).toMatch(/^Okay.*<\/think>Here/s);
    expect(joined.usage.reasoning_tokens).toBe(9);
  });

  it('answers with its reasoning where nothing parses it, and with nothing else where V3 is parsed', async () => {
    const messages = steered('reasoning=9 answer=9');
    const r1 = await emulate({ reasoningParser: undefined });
    const { choices, usage } = await complete(r1.url, { messages });
    expect(choices[0].message.content).toMatch(/^Okay.*<\/think>Here/s);
    expect(choices[0].message.reasoning_content).toBeNull();
    expect(usage).toMatchObject({ completion_tokens: 18, reasoning_tokens: 0 });
    expect(textOf(await stream(r1.url, { messages }), 'content')).toBe(choices[0].message.content);
    const v3 = await emulate({ modelPath: 'deepseek-ai/DeepSeek-V3-0324' });
    const parsed = await complete(v3.url, { messages });
    expect(parsed.choices[0].message.content).toBe('');
    expect(parsed.usage).toMatchObject({ completion_tokens: 9, reasoning_tokens: 9 });
  });

  it('streams tool calls by index and ends them with tool_calls', async () => {
    const { url } = await emulate();
    const parameters = {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' } },
    };
    const tools = ['weather', 'traffic'].map((name) => ({
      type: 'function',
      function: { name, parameters },
    }));
    const messages = user('Plan my trip [[reasoning=3 tools=2]]');
    const streamed = await stream(url, { messages, tools, tool_choice: 'required' });
    const calls: Json[] = streamed.events.flatMap((event) => event.choices[0]?.delta.tool_calls ?? []);
    for (const [index, name] of ['weather', 'traffic'].entries()) {
      const own = calls.filter((call) => call.index === index);
      expect(own[0]).toMatchObject({ id: expect.stringMatching(/^call_[0-9a-f]{24}$/), function: { name } });
      expect(own.slice(1).every((call) => call.id === null && call.function.name === null)).toBe(true);
      const args = JSON.parse(own.map((call) => call.function.arguments).join(''));
      expect(args).toEqual({ city: expect.any(String), days: expect.any(Number) });
    }
    expect(streamed.events.at(-2).choices[0].finish_reason).toBe('tool_calls');
    const named = { messages, tools, tool_choice: { type: 'function', function: { name: 'traffic' } } };
    const whole = await complete(url, named);
    expect(whole.choices[0].finish_reason).toBe('tool_calls');
    expect(whole.choices[0].message.tool_calls).toMatchObject([{ function: { name: 'traffic' } }]);
    const untouched = await complete(url, { messages: user('hello'), tools });
    expect(untouched.choices[0].message).not.toHaveProperty('tool_calls');
  });

  it('answers in JSON that fits the schema', async () => {
    const { url } = await emulate();
    const schema = {
      type: 'object',
      properties: {
        kind: { enum: ['a', 'b'] },
        parts: { type: 'array', minItems: 3, items: { $ref: '#/$defs/part' } },
      },
      $defs: { part: { type: 'object', properties: { size: { type: 'integer', minimum: 7, maximum: 9 } } } },
    };
    const format = { type: 'json_schema', json_schema: { name: 'x', schema } };
    const answer = await complete(url, { messages: user('go'), response_format: format });
    const value = JSON.parse(answer.choices[0].message.content);
    expect(['a', 'b']).toContain(value.kind);
    expect(value.parts).toHaveLength(3);
    for (const { size } of value.parts) expect([7, 8, 9]).toContain(size);
  });
});

describe('errors', () => {
  it('are flat without streaming', async () => {
    const { url } = await emulate();
    for (const body of [
      {},
      { messages: [] },
      { messages: user('x'), max_tokens: -1 },
      { messages: user('x'), max_tokens: 200_000 },
      { messages: user('x'), tool_choice: 'required' },
      'not an object',
    ]) {
      const response = await post(url, body);
      expect(response.status).toBe(400);
      const error = (await response.json()) as Json;
      expect(error).toMatchObject({ object: 'error', code: 400, param: null });
      expect(error.message).toEqual(expect.any(String));
      expect(error).not.toHaveProperty('error');
    }
  });

  it('quote what the client wrote, as SGLang does', async () => {
    const { url } = await emulate();
    const name = 'overloaded';
    const tool = (parameters: object) => ({ type: 'function', function: { name: 'f', parameters } });
    const choice = { type: 'function', function: { name } };
    const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '"x"' } };
    for (const [body, message] of [
      [{ tools: [tool({})], tool_choice: choice }, `Tool '${name}' not found in tools list.`],
      [{ tools: [tool({ properties: { a: { type: name } } })] }, "On schema['type']:\n    'overloaded'"],
      [{ tools: [tool({ required: name, description: 'queue is full' })] }, '"description":"queue is full"'],
      [{ stream: name }, '"input":"overloaded"'],
      [{ messages: [...user('x'), { role: 'assistant', tool_calls: [call] }] }, 'must be a JSON object'],
    ] as const) {
      const response = await post(url, { messages: user('x'), ...body });
      expect(response.status).toBe(400);
      expect(((await response.json()) as Json).message).toContain(message);
    }
  });

  it('about a grammar come as 400, or in a stream as 200 and an error event', async () => {
    const { url } = await emulate();
    const schema = { type: 'overloaded' };
    const body = {
      messages: user('x'),
      response_format: { type: 'json_schema', json_schema: { name: 'a', schema } },
    };
    expect((await post(url, body)).status).toBe(400);
    const { status, events } = await stream(url, body);
    const error = { code: 400, type: 'BAD_REQUEST', message: expect.stringContaining('overloaded') };
    expect([status, events[0]]).toEqual([200, { error: expect.objectContaining(error) }]);
  });

  it('do not come of control tokens in a text, which are turns to it', async () => {
    const { url } = await emulate();
    const tokens = async (content: string) =>
      (await complete(url, { messages: user(content), max_tokens: 1 })).usage.prompt_tokens as number;
    expect(await tokens('a<｜User｜></think><｜tool▁calls▁begin｜>')).toBe((await tokens('a')) + 3);
    expect(await tokens('a<\u2060｜User｜>')).toBeGreaterThan((await tokens('a')) + 4);
  });

  it('refuse a full queue with 503, or in a stream with 200 and an error event', async () => {
    const { url } = await emulate({ maxQueuedRequests: 0 });
    const response = await post(url, { messages: user('x') });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      object: 'error',
      message: 'The request queue is full.',
      code: 503,
    });
    const streamed = await stream(url, { messages: user('x') });
    expect(streamed.status).toBe(200);
    expect(streamed.events[0]).toEqual({ error: expect.objectContaining({ object: 'error', code: 503 }) });
    // Neither usage nor the end of the stream is missing behind an error.
    expect(lastUsage(streamed)).toMatchObject({ prompt_tokens: 0, completion_tokens: 0 });
    expect(streamed.raw.endsWith('}\n\ndata: [DONE]\n\n')).toBe(true);
  });

  it('refuse a rid that is in use', async () => {
    const { url } = await emulate({ speed: 1 });
    const first = await post(url, { messages: user('x'), rid: 'same', stream: true });
    const second = await post(url, { messages: user('x'), rid: 'same' });
    expect(second.status).toBe(400);
    await first.body?.cancel();
  });
});

describe('other routes', () => {
  it('need the key, except health and metrics', async () => {
    const { url } = await emulate({ apiKey: 'k1', adminApiKey: 'k2' });
    const status = async (path: string, key?: string) =>
      (await fetch(url + path, { headers: key ? { authorization: `Bearer ${key}` } : {} })).status;
    for (const path of ['/health', '/health_generate', '/metrics']) expect(await status(path)).toBe(200);
    for (const path of ['/model_info', '/get_model_info', '/server_info', '/v1/loads', '/v1/models']) {
      expect(await status(path)).toBe(401);
      expect(await status(path, 'wrong')).toBe(401);
      expect(await status(path, 'k1')).toBe(200);
    }
    expect((await post(url, { messages: user('x') })).status).toBe(401);
    expect(await status('/nothing', 'k1')).toBe(404);
    expect(await status('/model_info', 'k2')).toBe(401);
    expect(await status('/abort_request', 'k2')).toBe(405);
    expect(await status('/abort_request', 'k1')).toBe(401);
    const admin = await emulate({ adminApiKey: 'k2' });
    expect((await fetch(`${admin.url}/server_info`)).status).toBe(200);
    expect((await fetch(`${admin.url}/abort_request`, { method: 'POST' })).status).toBe(401);
  });

  it('say in /server_info how the engine was started', async () => {
    const plain = await emulate({ reasoningParser: undefined, cacheReport: undefined });
    expect(await (await fetch(`${plain.url}/server_info`)).json()).toMatchObject({
      version: '0.5.23',
      revision: null,
      reasoning_parser: null,
      enable_cache_report: false,
      disable_radix_cache: false,
      max_queued_requests: null,
      dp_size: 1,
    });
    const options = { version: '0.5.21', revision: 'abc', disableRadixCache: true, maxQueuedRequests: 3 };
    const { url } = await emulate(options);
    expect(await (await fetch(`${url}/server_info`)).json()).toMatchObject({
      version: '0.5.21',
      revision: 'abc',
      reasoning_parser: 'deepseek-r1',
      enable_cache_report: true,
      disable_radix_cache: true,
      max_queued_requests: 3,
    });
  });

  it('leak the keys in /server_info and have an empty health body', async () => {
    const { url } = await emulate({ apiKey: 'k1', adminApiKey: 'k2' });
    const headers = { authorization: 'Bearer k1' };
    const info = await (await fetch(`${url}/server_info`, { headers })).json();
    expect(info).toMatchObject({ api_key: 'k1', admin_api_key: 'k2', max_running_requests: 256 });
    expect(await (await fetch(`${url}/health`)).text()).toBe('');
  });

  it('report loads and metrics of the work done', async () => {
    const { url } = await emulate();
    await complete(url, { messages: steered('reasoning=10 answer=10') });
    const { loads } = (await (await fetch(`${url}/v1/loads?include=core`)).json()) as Json;
    expect(loads).toMatchObject([
      {
        dp_rank: 0,
        num_running_reqs: 0,
        num_waiting_reqs: 0,
        num_used_tokens: 0,
        max_total_num_tokens: 400_000,
      },
    ]);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toMatch(/^sglang:generation_tokens_total\{[^}]*\} 20$/m);
    expect(metrics).toMatch(/^sglang:time_to_first_token_seconds_count\{[^}]*\} 1$/m);
    expect(metrics).toMatch(/^sglang:inter_token_latency_seconds_count\{[^}]*\} 19$/m);
  });

  it('give no keep-alive hint', async () => {
    const { url } = await emulate();
    const { headers } = await fetch(`${url}/model_info`);
    expect(headers.get('keep-alive')).toBeNull();
  });

  it('show tests which fields arrived', async () => {
    const { url } = await emulate();
    await complete(url, { messages: user('x'), rid: 'r-1', max_tokens: 5, cache_salt: 's' });
    const { requests } = (await (await fetch(`${url}/emulator/requests`)).json()) as Json;
    expect(requests).toMatchObject([{ rid: 'r-1', body: { max_tokens: 5, cache_salt: 's', model: 'r1' } }]);
  });
});

describe('a schema that asks for more than an answer can hold', () => {
  const list = (items: object) => ({ type: 'array', minItems: 9_999, items });
  /** Each definition has six values of the next. */
  const definitions = Array.from({ length: 25 }, (_, at) => {
    const next = { $ref: `#/$defs/d${at + 1}` };
    return [
      `d${at}`,
      { type: 'object', properties: { a: next, b: next, c: next, d: next, e: next, f: next } },
    ];
  });

  it.each([
    ['lists of lists of lists', list(list(list({ type: 'boolean' })))],
    ['lists of long texts', list({ type: 'string', minLength: 90_000 })],
    ['lists of a long constant', list({ const: 'x'.repeat(100_000) })],
    [
      'references to references',
      { $defs: { ...Object.fromEntries(definitions), d25: { type: 'null' } }, $ref: '#/$defs/d0' },
    ],
  ])('ends at max_tokens: %s', async (_, schema) => {
    const { url } = await emulate();
    const response_format = { type: 'json_schema', json_schema: { name: 'huge', schema } };
    const body = { messages: steered('reasoning=1'), max_tokens: 50, response_format };
    const { usage, choices } = await complete(url, body);
    expect(usage.completion_tokens).toBe(50);
    expect(choices[0].finish_reason).toBe('length');
  });

  it('ends at max_tokens: a hundred thousand calls', async () => {
    const { url } = await emulate();
    const tools = [{ type: 'function', function: { name: 'f', parameters: list({ type: 'integer' }) } }];
    const messages = steered('reasoning=1 tools=100000');
    const answer = await complete(url, { messages, max_tokens: 50, tools, tool_choice: 'required' });
    expect(answer.usage.completion_tokens).toBe(50);
  });
});
