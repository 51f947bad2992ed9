/** Anthropic's Messages API with the official client. At the end all answers are checked against the client's types. */
import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { messageErrorFaults, messageFaults, messageStreamFaults } from '../shapes/anthropic-messages.ts';
import { api, eventually, expectLaws, type Local, runningAt, startLocal } from './local.ts';
import { ResponseRecorder } from './response-recorder.ts';

const recorder = new ResponseRecorder({
  whole: messageFaults,
  stream: messageStreamFaults,
  error: messageErrorFaults,
});
let local: Local;
let anthropic: Anthropic;
beforeAll(async () => {
  local = await startLocal();
  anthropic = clientWith(local.stack.dev.apiKey);
});
afterAll(() => local.end());

function clientWith(apiKey: string, path = '/anthropic'): Anthropic {
  const baseURL = `${local.stack.dev.baseUrl}${path}`;
  return new Anthropic({ baseURL, apiKey, maxRetries: 0, fetch: recorder.fetch });
}

const ask = (content: string, max_tokens = 1_000) => ({
  model: 'deepseek-reasoner',
  max_tokens,
  messages: [{ role: 'user' as const, content }],
});
const WEATHER: Anthropic.Tool = {
  name: 'get_weather',
  input_schema: { type: 'object', properties: { city: { type: 'string' } } },
};

describe('a message', () => {
  it('has thinking, text and usage by kind', async () => {
    const message = await anthropic.messages.create({
      ...ask('Why? [[reasoning=20 answer=10]]', 2_000),
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
      thinking: { type: 'enabled', budget_tokens: 1_024 },
    });
    expect(message.content.map(({ type }) => type)).toEqual(['thinking', 'text']);
    expect(message).toMatchObject({ stop_reason: 'end_turn', usage: { output_tokens: 30 } });
    expect(message.usage).toHaveProperty('cost');
    expect(message._request_id).toMatch(/^req_/);
  });

  it('fits the schema of messages.parse, also under the name of the beta', async () => {
    const format = zodOutputFormat(z.object({ city: z.string(), people: z.int() }));
    const request = ask('Where? [[reasoning=5]]');
    const message = await anthropic.messages.parse({ ...request, output_config: { format } });
    expect(message.parsed_output).toEqual({ city: expect.any(String), people: expect.any(Number) });
    const stream = anthropic.messages.stream({ ...request, output_config: { format } });
    expect((await stream.finalMessage()).parsed_output).toHaveProperty('city');
    const { type, schema } = format;
    const older = await anthropic.messages.create({ ...request, ...{ output_format: { type, schema } } });
    const [text] = older.content.flatMap((block) => (block.type === 'text' ? [block.text] : []));
    expect(JSON.parse(text!)).toHaveProperty('people');
  });

  it('streams the same content as an unstreamed answer', async () => {
    const request = ask('The same? [[reasoning=10 answer=20]]');
    const texts: string[] = [];
    const stream = anthropic.messages.stream(request);
    stream.on('text', (delta) => void texts.push(delta));
    const streamed = await stream.finalMessage();
    const whole = await anthropic.messages.create(request);
    expect(streamed.content).toEqual(whole.content);
    expect(streamed.content).toContainEqual({ type: 'text', text: texts.join(''), citations: null });
    expect(streamed.usage.output_tokens).toBe(30);
  });

  it('counts cached input tokens separately', async () => {
    const system = 'The rules of the house. '.repeat(200);
    const request = { ...ask('Again? [[reasoning=5 answer=5]]'), system };
    await anthropic.messages.create(request);
    const { usage } = await anthropic.messages.create(request);
    expect(usage.cache_read_input_tokens).toBeGreaterThan(500);
    expect(usage.input_tokens).toBeLessThan(200);
  });

  it.each([
    ['its limit', { max_tokens: 12 }, { stop_reason: 'max_tokens', stop_sequence: null }],
    ['a stop sequence', { stop_sequences: [' '] }, { stop_reason: 'stop_sequence', stop_sequence: ' ' }],
  ])('ends at %s with its stop reason', async (_, over, ending) => {
    const request = { ...ask('Long [[reasoning=5 answer=200]]'), ...over };
    expect(await anthropic.messages.create(request)).toMatchObject(ending);
    expect(await anthropic.messages.stream(request).finalMessage()).toMatchObject(ending);
  });

  it.each([false, true])('uses tools and continues with their results, streamed: %s', async (streams) => {
    const say = (messages: Anthropic.MessageParam[]) => {
      const request = { ...ask(''), messages, tools: [WEATHER] };
      return streams ? anthropic.messages.stream(request).finalMessage() : anthropic.messages.create(request);
    };
    const messages: Anthropic.MessageParam[] = [
      { role: 'user', content: 'Weather? [tool] [[reasoning=5 answer=9 tools=2]]' },
    ];
    const first = await say(messages);
    expect(first.stop_reason).toBe('tool_use');
    const calls = first.content.filter((block) => block.type === 'tool_use');
    expect(calls.map(({ name }) => name)).toEqual(['get_weather', 'get_weather']);
    for (const { input } of calls) expect(input).toHaveProperty('city');
    messages.push({ role: 'assistant', content: first.content as Anthropic.ContentBlockParam[] });
    const results = calls.map(({ id: tool_use_id }, at) => ({
      type: 'tool_result' as const,
      tool_use_id,
      content: [{ type: 'text' as const, text: 'sunny' }],
      is_error: at === 1,
    }));
    messages.push({ role: 'user', content: results });
    expect((await say(messages)).stop_reason).toBe('end_turn');
  });

  it('is stopped at the engine when its client disconnects', async () => {
    const stream = await anthropic.messages.create({ ...ask('Long [[answer=5000]]', 6_000), stream: true });
    for await (const { type } of stream) if (type === 'content_block_delta') break;
    const running = async () =>
      (await Promise.all(local.stack.nodes.map(runningAt))).reduce((sum, each) => sum + each, 0);
    await eventually(async () => (await running()) === 0);
  });

  it('can be requested at /v1/messages, too, and models can be listed', async () => {
    const message = await clientWith(local.stack.dev.apiKey, '').messages.create(ask('Hi [[answer=5]]'));
    expect(message.type).toBe('message');
    const models = await api(local, '/anthropic/v1/models');
    expect(await models.json()).toMatchObject({ data: [{ type: 'model' }, {}, {}], has_more: false });
  });
});

describe('an error', () => {
  const refused = (request: object) =>
    anthropic.messages.create(request as Anthropic.MessageCreateParams).catch((error: unknown) => error);

  it.each([
    [{ max_tokens: undefined }, 'max_tokens'],
    [{ temperature: 1.5 }, 'temperature'],
    [{ messages: [] }, 'messages'],
    [{ messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] }, 'messages[0].content[0]'],
    [
      { tools: [{ type: 'web_search_20250305', name: 'web_search' }], tool_choice: { type: 'any' } },
      'tool_choice',
    ],
    [{ stop_sequences: Array(17).fill('x') }, 'stop_sequences'],
  ])('for %j names the field', async (over, param) => {
    const error = await refused({ ...ask('Hi'), ...over });
    expect(error).toBeInstanceOf(Anthropic.BadRequestError);
    expect((error as { error: object }).error).toMatchObject({
      error: { type: 'invalid_request_error', param: expect.stringContaining(param) },
    });
  });

  it('has the error class of its status', async () => {
    const unknown = await refused({ ...ask('Hi'), model: 'nobody' });
    expect(unknown).toBeInstanceOf(Anthropic.NotFoundError);
    const nobody = clientWith('sk-tg-nobody');
    const stranger = await nobody.messages.create(ask('Hi')).catch((error: unknown) => error);
    expect(stranger).toBeInstanceOf(Anthropic.AuthenticationError);
    const lost = await anthropic.post('/v1/nowhere', { body: {} }).catch((error: unknown) => error);
    expect(lost).toBeInstanceOf(Anthropic.NotFoundError);
  });

  it('rejects two different keys', async () => {
    const { apiKey } = local.stack.dev;
    const response = await api(local, '/anthropic/v1/messages', {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'x-api-key': `${apiKey}x` },
      body: JSON.stringify(ask('Hi')),
    });
    expect(response.status).toBe(400);
    expect(messageErrorFaults(await response.json())).toEqual([]);
  });
});

it('every answer has the shape of the client’s types, and no law of money is broken', async () => {
  const { answers, faults } = await recorder.faults();
  expect(answers).toBeGreaterThan(15);
  expect(faults).toEqual([]);
  await expectLaws(local);
});
