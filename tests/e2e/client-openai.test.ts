/** The official `openai` client against a local Tollgate. At the end all answers are checked against the client's types. */
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createKey, PortalSession } from '../../gpu-pool/local/portal-session.ts';
import { publishedShape } from '../shapes/published-shape.ts';
import {
  eventually,
  everyEngine,
  expectLaws,
  type Local,
  runningAt,
  startLocal,
  whileSilent,
} from './local.ts';
import { ResponseRecorder } from './response-recorder.ts';

const MODEL = 'deepseek-reasoner';
const recorder = new ResponseRecorder();
let local: Local;
let openai: OpenAI;
beforeAll(async () => {
  local = await startLocal();
  openai = clientWith(local.stack.dev.apiKey);
});
afterAll(() => local.end());

function clientWith(apiKey: string, over: Partial<OpenAI['_options']> = {}): OpenAI {
  const baseURL = `${local.stack.dev.baseUrl}/v1`;
  return new OpenAI({ baseURL, apiKey, maxRetries: 0, fetch: recorder.fetch, ...over });
}

const ask = (content: string) => ({ model: MODEL, messages: [{ role: 'user' as const, content }] });

describe('answers', () => {
  it('come whole, with reasoning beside the content and usage by kind', async () => {
    const answer = await openai.chat.completions.create(ask('Why? [[reasoning=20 answer=10]]'));
    expect(answer.choices[0]!.message).toMatchObject({ role: 'assistant', refusal: null });
    expect(answer.choices[0]!.message).toHaveProperty('reasoning_content');
    expect(answer.usage).toMatchObject({
      completion_tokens: 30,
      completion_tokens_details: { reasoning_tokens: 20 },
    });
    expect(answer._request_id).toBe(answer.id);
  });

  it('come through the stream helper with the same content as unstreamed', async () => {
    // The emulator's text follows from the prompt; a seed repeats it only with deterministic inference.
    const request = ask('The same? [[reasoning=10 answer=20]]');
    const stream = openai.chat.completions.stream(request);
    const deltas: string[] = [];
    stream.on('content', (delta) => deltas.push(delta));
    const streamed = await stream.finalChatCompletion();
    const whole = await openai.chat.completions.create(request);
    expect(streamed.choices[0]!.message.content).toBe(whole.choices[0]!.message.content);
    expect(deltas.join('')).toBe(whole.choices[0]!.message.content);
    expect(streamed.choices[0]!.finish_reason).toBe('stop');
    expect((await stream.totalUsage()).completion_tokens).toBe(30);
  });

  it.each([{}, { stream_options: { include_usage: true } }])(
    'have usage once when streamed with %o',
    async (over) => {
      const stream = await openai.chat.completions.create({
        ...ask('Count. [[reasoning=5 answer=5]]'),
        ...over,
        stream: true,
      });
      const usages: OpenAI.CompletionUsage[] = [];
      for await (const { usage } of stream) if (usage) usages.push(usage);
      expect(usages.map(({ completion_tokens }) => completion_tokens)).toEqual([10]);
    },
  );

  it('have as many choices as requested', async () => {
    const request = { ...ask('Twice. [[reasoning=5 answer=9]]'), n: 2 };
    const whole = await openai.chat.completions.create(request);
    expect(whole.choices.map(({ index, finish_reason }) => [index, finish_reason])).toEqual([
      [0, 'stop'],
      [1, 'stop'],
    ]);
    const streamed = await openai.chat.completions.stream(request).finalChatCompletion();
    expect(streamed.choices.map(({ message }) => message.content)).toEqual(
      whole.choices.map(({ message }) => message.content),
    );
  });
});

describe('answers to requests with further options', () => {
  it('fit a schema and parse into its type', async () => {
    const Person = z.object({ name: z.string(), age: z.number().int() });
    const format = zodResponseFormat(Person, 'person');
    const request = { ...ask('A person. [[reasoning=5]]'), response_format: format };
    const parsed = await openai.chat.completions.parse(request);
    expect(Person.parse(parsed.choices[0]!.message.parsed)).toEqual(parsed.choices[0]!.message.parsed);
    const streamed = await openai.chat.completions.stream(request).finalChatCompletion();
    expect(Person.parse(streamed.choices[0]!.message.parsed)).toBeTruthy();
  });

  it.each([false, true])('call tools and continue with their results, streamed: %s', async (stream) => {
    const cities: unknown[] = [];
    const params = {
      ...ask('Weather? [tool] [[reasoning=5 answer=9 tools=2]]'),
      tools: [
        {
          type: 'function' as const,
          function: {
            name: 'get_weather',
            description: 'the weather of a city',
            parameters: {
              type: 'object' as const,
              properties: { city: { type: 'string' as const } },
            },
            parse: (input: string) => JSON.parse(input) as { city: string },
            function: ({ city }: { city: string }) => {
              cities.push(city);
              return `sunny in ${city}`;
            },
          },
        },
      ],
    };
    const runner = stream
      ? openai.chat.completions.runTools({ ...params, stream: true })
      : openai.chat.completions.runTools(params);
    expect(await runner.finalContent()).toMatch(/answer/);
    expect(cities).toEqual([expect.any(String), expect.any(String)]);
    expect(runner.messages.map(({ role }) => role)).toEqual([
      'user',
      'assistant',
      'tool',
      'tool',
      'assistant',
    ]);
  });

  it('are unchanged by fields of other models, such as n, seed, user and thinking', async () => {
    const answer = await openai.chat.completions.create({
      ...ask('Extra. [[reasoning=5 answer=5]]'),
      n: 1,
      seed: 1,
      user: 'me',
      reasoning_effort: 'high',
      service_tier: 'auto',
      metadata: { a: 'b' },
      store: false,
      thinking: { type: 'enabled' },
    } as OpenAI.ChatCompletionCreateParamsNonStreaming);
    expect(answer.usage!.completion_tokens).toBe(10);
  });
});

describe('a client that disconnects', () => {
  const long = ask('Long. [[reasoning=3000 answer=3000]]');
  const idle = () =>
    eventually(async () => {
      const running = await Promise.all(local.stack.nodes.map(runningAt));
      return running.every((count) => count === 0);
    });

  it('leaves a stream in the middle, and the engine stops', async () => {
    const stream = await openai.chat.completions.create({ ...long, stream: true });
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 5) break;
    await idle();
  });

  it('aborts a request for a whole answer, and the engine stops', async () => {
    const leave = AbortSignal.timeout(700);
    await expect(openai.chat.completions.create(long, { signal: leave })).rejects.toThrow(
      OpenAI.APIUserAbortError,
    );
    await idle();
  });

  it('times out as its own timeout error', async () => {
    await expect(openai.chat.completions.create(long, { timeout: 500 })).rejects.toThrow(
      OpenAI.APIConnectionTimeoutError,
    );
    await idle();
  });
});

describe('errors', () => {
  const kinds = [
    [
      'a wrong key',
      () => clientWith('sk-nope').chat.completions.create(ask('x')),
      OpenAI.AuthenticationError,
    ],
    [
      'an unknown model',
      () => openai.chat.completions.create({ ...ask('x'), model: 'gpt-4o' }),
      OpenAI.NotFoundError,
    ],
    [
      'a field that is out of range',
      () => openai.chat.completions.create({ ...ask('x'), temperature: 3 }),
      OpenAI.BadRequestError,
    ],
    [
      'a field that is out of range, streamed',
      () => openai.chat.completions.create({ ...ask('x'), top_p: 2, stream: true }),
      OpenAI.BadRequestError,
    ],
    [
      'a model that nobody serves',
      () => openai.chat.completions.create({ ...ask('x'), model: 'deepseek-r1-zero' }),
      OpenAI.InternalServerError,
    ],
  ] as const;

  it.each(kinds)('for %s have their own error class', async (_, send, kind) => {
    const error = await (send() as Promise<unknown>).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(kind);
    const { message, code, type, requestID } = error as InstanceType<typeof OpenAI.APIError>;
    expect({ code, type, requestID }).toEqual({
      code: expect.any(String),
      type: expect.any(String),
      requestID: expect.stringMatching(/^req_/),
    });
    expect(message).not.toContain('status code (no body)');
  });

  it('name the parameter', async () => {
    const error = await openai.chat.completions
      .create({ ...ask('x'), max_tokens: -1 })
      .catch((error: InstanceType<typeof OpenAI.APIError>) => error);
    expect(error).toMatchObject({ status: 400, param: 'max_tokens' });
  });

  it('of a rate limit are retried by a client with retries, and then answered', async () => {
    const visitor = new PortalSession(local.stack.dev.baseUrl);
    await visitor.signInOrSignUp({ ...local.stack.dev.portal, name: 'Demo' });
    const key = await createKey(visitor, { name: 'single', concurrency: '1' });
    const patient = clientWith(key, { maxRetries: 8 });
    const first = await patient.chat.completions.create({
      ...ask('Slowly. [[reasoning=200 answer=600]]'),
      stream: true,
    });
    await expect(clientWith(key).chat.completions.create(ask('x'))).rejects.toThrow(OpenAI.RateLimitError);
    const [, second] = await Promise.all([
      (async () => {
        for await (const _ of first);
      })(),
      patient.chat.completions.create(ask('Now? [[reasoning=5 answer=5]]')),
    ]);
    expect(second.usage!.completion_tokens).toBe(10);
  });
});

it('the client waits for a late first token through comments and blank lines, streamed and not', async () => {
  const request = ask('Late. [[reasoning=5 answer=9]]');
  const [whole, streamed] = await whileSilent(local, 7_000, () =>
    Promise.all([
      openai.chat.completions.create(request),
      openai.chat.completions.stream(request).finalChatCompletion(),
    ]),
  );
  expect(whole.choices[0]!.message.content).toMatch(/answer/);
  expect(streamed.choices[0]!.message.content).toMatch(/answer/);
  expect(await recorder.countMatching(/^(: keep-alive\n\n|\n)+/)).toBe(2);
});

describe('an engine that dies', () => {
  it('in the middle of a stream causes an error event and no end', async () => {
    await everyEngine(local, { kind: 'die_mid_stream', times: 1, afterTokens: 5 });
    const seen: string[] = [];
    const read = async () => {
      const stream = await openai.chat.completions.create({
        ...ask('Die. [[reasoning=50 answer=50]]'),
        stream: true,
      });
      for await (const chunk of stream) seen.push(chunk.id);
    };
    const error = await read().catch((error: unknown) => error);
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(error).toMatchObject({ code: 'node_failed', type: 'server_error' });
    expect(seen.length).toBeGreaterThan(0);
    await everyEngine(local, null);
  });

  it('during a whole answer causes a 502, never an empty 200', async () => {
    await everyEngine(local, { kind: 'empty_200' });
    const error = await openai.chat.completions
      .create(ask('Empty. [[reasoning=5 answer=5]]'))
      .catch((error) => error);
    await everyEngine(local, null);
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(error.code).toMatch(/node_failed|model_not_available|overloaded/);
  });
});

it('the models have the shape of the client’s types', async () => {
  const modelFaults = publishedShape({
    package: 'openai/resources/models',
    type: 'Model',
    also: { Model: ['tollgate', 'supported_parameters'] },
  });
  const { data } = await local.openai.models.list();
  expect(data.length).toBeGreaterThan(0);
  expect(data.flatMap((model) => modelFaults(model))).toEqual([]);
});

it('every answer has the shape of the client’s types', async () => {
  const { answers, faults } = await recorder.faults();
  expect(answers).toBeGreaterThan(20);
  expect(faults).toEqual([]);
});

it('no law of money is broken', () => expectLaws(local));
