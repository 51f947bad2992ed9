/** OpenAI's Responses API with the official client. At the end all answers are checked against the client's types. */
import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { errorFaults } from '../shapes/openai-chat.ts';
import { responseFaults, responseStreamFaults } from '../shapes/openai-responses.ts';
import { eventually, expectLaws, type Local, runningAt, startLocal } from './local.ts';
import { ResponseRecorder } from './response-recorder.ts';

const MODEL = 'deepseek-reasoner';
const recorder = new ResponseRecorder({
  whole: responseFaults,
  stream: responseStreamFaults,
  error: errorFaults,
});
let local: Local;
let openai: OpenAI;
let unrecorded: OpenAI;
beforeAll(async () => {
  local = await startLocal();
  const { baseUrl, apiKey } = local.stack.dev;
  openai = new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey, maxRetries: 0, fetch: recorder.fetch });
  // what is not an answer is no part of the recorded shapes
  unrecorded = new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey, maxRetries: 0 });
});
afterAll(() => local.end());

const WEATHER: OpenAI.Responses.FunctionTool = {
  type: 'function',
  name: 'get_weather',
  strict: null,
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
};

describe('a response', () => {
  it('has reasoning, text and usage as items and counts', async () => {
    const response = await openai.responses.create({
      model: MODEL,
      instructions: 'Be brief.',
      input: 'Why? [[reasoning=20 answer=10]]',
      metadata: { job: 'test' },
    });
    expect(response.output.map(({ type }) => type)).toEqual(['reasoning', 'message']);
    expect(response.output_text.length).toBeGreaterThan(10);
    expect(response).toMatchObject({
      status: 'completed',
      metadata: { job: 'test' },
      usage: { output_tokens: 30, output_tokens_details: { reasoning_tokens: 20 } },
    });
    expect(response.usage).toHaveProperty('cost');
  });

  it('streams the same text as an unstreamed answer', async () => {
    const request = { model: MODEL, input: 'The same? [[reasoning=10 answer=20]]' };
    const deltas: string[] = [];
    const stream = openai.responses.stream(request);
    stream.on('response.output_text.delta', ({ delta }) => void deltas.push(delta));
    const streamed = await stream.finalResponse();
    const whole = await openai.responses.create(request);
    expect(streamed.output_text).toBe(whole.output_text);
    expect(deltas.join('')).toBe(whole.output_text);
    expect(streamed.usage?.output_tokens).toBe(30);
  });

  it('that reaches its limit is incomplete and says why', async () => {
    const request = { model: MODEL, input: 'Long [[answer=200]]', max_output_tokens: 12 };
    const whole = await openai.responses.create(request);
    expect(whole).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
    });
    const streamed = await openai.responses.stream(request).finalResponse();
    expect(streamed.status).toBe('incomplete');
  });

  it('fits a schema', async () => {
    const Person = z.object({ name: z.string(), age: z.number().int() });
    const response = await openai.responses.parse({
      model: MODEL,
      input: 'A person. [[reasoning=5]]',
      text: { format: zodTextFormat(Person, 'person') },
    });
    expect(Person.parse(response.output_parsed)).toEqual(response.output_parsed);
  });
});

describe('a response with tools', () => {
  it.each([false, true])('calls tools and continues with their results, streamed: %s', async (streams) => {
    const ask = (input: OpenAI.Responses.ResponseInput) => {
      const request = { model: MODEL, input, tools: [WEATHER] };
      return streams
        ? openai.responses.stream(request).finalResponse()
        : openai.responses.create({ ...request, stream: false });
    };
    const input: OpenAI.Responses.ResponseInput = [
      { role: 'user', content: 'Weather? [tool] [[reasoning=5 answer=9 tools=2]]' },
    ];
    const first = await ask(input);
    const output = first.output as OpenAI.Responses.ResponseOutputItem[];
    const calls = output.filter((item) => item.type === 'function_call');
    expect(calls.map(({ name }) => name)).toEqual(['get_weather', 'get_weather']);
    for (const call of calls) expect(JSON.parse(call.arguments)).toHaveProperty('city');
    // reasoning items are sent back with the others, as in the client's own examples
    input.push(...(output as OpenAI.Responses.ResponseInput));
    for (const { call_id } of calls) input.push({ type: 'function_call_output', call_id, output: 'sunny' });
    const second = await ask(input);
    expect(second.output_text).toMatch(/\w/);
  });

  it('is stopped at the engine when its client disconnects', async () => {
    const stream = await openai.responses.create({
      model: MODEL,
      input: 'Long [[answer=5000]]',
      stream: true,
    });
    for await (const { type } of stream) if (type === 'response.reasoning_text.delta') break;
    stream.controller.abort();
    const running = async () =>
      (await Promise.all(local.stack.nodes.map(runningAt))).reduce((sum, each) => sum + each, 0);
    await eventually(async () => (await running()) === 0);
  });
});

describe('a stored response', () => {
  it.each([false, true])(
    'is continued by its id, with calls and their results, streamed: %s',
    async (streams) => {
      const ask = (over: OpenAI.Responses.ResponseCreateParams) => {
        const request = { model: MODEL, tools: [WEATHER], ...over };
        return streams
          ? openai.responses.stream(request as never).finalResponse()
          : openai.responses.create({ ...request, stream: false });
      };
      const first = await ask({ input: 'Weather? [tool] [[reasoning=5 answer=9 tools=2]]' });
      expect(first).toMatchObject({ store: true, previous_response_id: null });
      const output = first.output as OpenAI.Responses.ResponseOutputItem[];
      const calls = output.filter(
        (item) => item.type === 'function_call',
      ) as OpenAI.Responses.ResponseFunctionToolCall[];
      const input = calls.map(({ call_id }) => ({
        type: 'function_call_output' as const,
        call_id,
        output: 'sunny',
      }));
      const second = await ask({ input, previous_response_id: first.id });
      expect(second.previous_response_id).toBe(first.id);
      expect(second.output_text).toMatch(/\w/);
      expect(second.usage!.input_tokens).toBeGreaterThan(first.usage!.input_tokens);
      // the prefix cache has the turn before
      expect(second.usage!.input_tokens_details.cached_tokens).toBeGreaterThan(0);

      expect((await openai.responses.retrieve(second.id)).output_text).toBe(second.output_text);
      const items = [];
      for await (const item of unrecorded.responses.inputItems.list(second.id, { order: 'asc', limit: 2 }))
        items.push(item);
      expect(items.map(({ type }) => type)).toEqual([
        ...['message', ...first.output.map(({ type }) => type), ...calls.map(() => 'function_call_output')],
      ]);
      await unrecorded.responses.delete(first.id);
      await expect(unrecorded.responses.retrieve(first.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
      const broken = await ask({ input: 'x', previous_response_id: second.id }).catch(
        (error: unknown) => error,
      );
      expect(broken).toMatchObject({ status: 400, code: 'previous_response_not_found' });
      await expect(unrecorded.responses.cancel(second.id)).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    },
  );

  it('gives its items to a request that refers to them', async () => {
    const first = await openai.responses.create({ model: MODEL, input: 'One [[reasoning=5 answer=5]]' });
    const references = first.output.map(({ id }) => ({ type: 'item_reference' as const, id: id! }));
    const input = [
      { role: 'user' as const, content: 'One [[reasoning=5 answer=5]]' },
      ...references,
      { role: 'user' as const, content: 'Two' },
    ];
    const second = await openai.responses.create({ model: MODEL, input, store: false });
    expect(second).toMatchObject({ store: false });
    expect(second.usage!.input_tokens).toBeGreaterThan(first.usage!.input_tokens);
    const lost = openai.responses.create({
      model: MODEL,
      input: [{ type: 'item_reference', id: second.output[0]!.id! }],
    });
    await expect(lost).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});

describe('an unsupported field is rejected by its name', () => {
  it.each([
    [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
    [{ conversation: 'conv_1' }, 'conversation'],
    [{ prompt: { id: 'pmpt_1' } }, 'prompt'],
    [{ background: true }, 'background'],
    [{ tools: [{ type: 'web_search' }], tool_choice: 'required' }, 'tool_choice'],
    [
      { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] },
      'input[0].content[0]',
    ],
    [{ input: [] }, 'input'],
    [{ max_output_tokens: 1.5 }, 'max_output_tokens'],
  ])('%j', async (over, param) => {
    const request = { model: MODEL, input: 'Hi', ...over } as OpenAI.Responses.ResponseCreateParams;
    const refused = await openai.responses.create(request).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(OpenAI.BadRequestError);
    expect((refused as InstanceType<typeof OpenAI.APIError>).param).toContain(param);
  });
});

it('every answer has the shape of the client’s types, and no law of money is broken', async () => {
  const { answers, faults } = await recorder.faults();
  expect(answers).toBeGreaterThan(15);
  expect(faults).toEqual([]);
  await expectLaws(local);
});
