/**
 * The AI SDK against a local Tollgate, with its two providers for a reasoning model. They read usage from different fields:
 * DeepSeek's provider from `prompt_cache_hit_tokens`, the other from `cached_tokens`.
 */
import { createDeepSeek } from '@ai-sdk/deepseek';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, type LanguageModel, Output, stepCountIs, streamText, tool } from 'ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { everyEngine, expectLaws, type Local, startLocal, whileSilent } from './local.ts';
import { ResponseRecorder } from './response-recorder.ts';

const recorder = new ResponseRecorder();
let local: Local;
beforeAll(async () => {
  local = await startLocal();
});
afterAll(() => local.end());

type ModelOf = (options?: { apiKey?: string; model?: string }) => LanguageModel;

const connect = (apiKey?: string) => ({
  baseURL: `${local.stack.dev.baseUrl}/v1`,
  apiKey: apiKey ?? local.stack.dev.apiKey,
  fetch: recorder.fetch,
});
const deepSeek: ModelOf = ({ apiKey, model = 'deepseek-reasoner' } = {}) =>
  createDeepSeek(connect(apiKey))(model);
const compatible: ModelOf = ({ apiKey, model = 'deepseek-reasoner' } = {}) =>
  createOpenAICompatible({
    ...connect(apiKey),
    name: 'tollgate',
    includeUsage: true,
    supportsStructuredOutputs: true,
  })(model);

const PROVIDERS: [name: string, ModelOf][] = [
  ['@ai-sdk/deepseek', deepSeek],
  ['@ai-sdk/openai-compatible', compatible],
];

describe.each(PROVIDERS)('%s', (_, modelOf) => {
  it('generates text with its reasoning', async () => {
    const result = await generateText({ model: modelOf(), prompt: 'Why? [[reasoning=20 answer=10]]' });
    expect(result.text).toMatch(/answer/);
    expect(result.reasoningText).toMatch(/think/);
    expect(result.finishReason).toBe('stop');
    expect(result.usage.outputTokens).toBe(30);
    expect(result.usage.outputTokenDetails).toMatchObject({ reasoningTokens: 20, textTokens: 10 });
  });

  it('streams reasoning, then text, then usage', async () => {
    const result = streamText({ model: modelOf(), prompt: 'Why? [[reasoning=20 answer=10]]' });
    const kinds: string[] = [];
    for await (const { type } of result.fullStream) if (kinds.at(-1) !== type) kinds.push(type);
    // the providers order the other kinds of parts differently
    expect(kinds.filter((kind) => /^(reasoning|text)-delta$/.test(kind))).toEqual([
      'reasoning-delta',
      'text-delta',
    ]);
    expect(kinds).not.toContain('error');
    expect(await result.reasoningText).toMatch(/think/);
    expect((await result.usage).outputTokenDetails.reasoningTokens).toBe(20);
    expect((await result.usage).outputTokens).toBe(30);
  });

  it('reports the cached tokens of a conversation', async () => {
    const opening = `${'A long enough opening that fills more than one page of the cache. '.repeat(12)}`;
    const question = { role: 'user' as const, content: `${opening} [[reasoning=5 answer=9]]` };
    const first = await generateText({ model: modelOf(), messages: [question] });
    const again = { role: 'user' as const, content: 'And? [[reasoning=5 answer=9]]' };
    const messages = [question, ...first.response.messages, again];
    const whole = await generateText({ model: modelOf(), messages });
    expect(whole.usage.inputTokenDetails.cacheReadTokens).toBeGreaterThan(100);
    expect(whole.usage.inputTokens).toBe(
      whole.usage.inputTokenDetails.cacheReadTokens! + whole.usage.inputTokenDetails.noCacheTokens!,
    );
    const streamed = streamText({ model: modelOf(), messages });
    await streamed.consumeStream();
    expect((await streamed.usage).inputTokenDetails.cacheReadTokens).toBeGreaterThan(100);
  });
});

describe.each(PROVIDERS)('%s, with tools and schemas,', (_, modelOf) => {
  const weather = tool({
    description: 'the weather of a city',
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `sunny in ${city}`,
  });
  const calling = { prompt: 'Weather? [tool] [[reasoning=5 answer=9 tools=2]]', tools: { weather } };

  it('runs the called tools and sends their results back', async () => {
    const result = await generateText({ ...calling, model: modelOf(), stopWhen: stepCountIs(3) });
    expect(result.steps.map(({ finishReason }) => finishReason)).toEqual(['tool-calls', 'stop']);
    expect(result.steps[0]!.toolResults.map(({ output }) => output)).toEqual([
      expect.stringMatching(/^sunny/),
      expect.stringMatching(/^sunny/),
    ]);
    expect(result.text).toMatch(/answer/);
  });

  it('assembles streamed tool calls by their index', async () => {
    const result = streamText({ ...calling, model: modelOf(), stopWhen: stepCountIs(3) });
    await result.consumeStream();
    const steps = await result.steps;
    expect(steps[0]!.toolCalls).toHaveLength(2);
    expect(new Set(steps[0]!.toolCalls.map(({ toolCallId }) => toolCallId)).size).toBe(2);
    expect(steps.at(-1)!.text).toMatch(/answer/);
  });

  it('generates an object, streamed and not', async () => {
    const schema = z.object({ answer: z.string(), score: z.number(), done: z.boolean() });
    const request = { prompt: 'An object as JSON. [[reasoning=5]]', output: Output.object({ schema }) };
    const { output } = await generateText({ ...request, model: modelOf() });
    expect(schema.parse(output)).toEqual(output);
    const streamed = streamText({ ...request, model: modelOf() });
    await streamed.consumeStream();
    expect(schema.safeParse(await streamed.output).success).toBe(true);
  });
});

describe.each(PROVIDERS)('%s, when something goes wrong,', (_, modelOf) => {
  it('throws API errors with status and message, and retries only those that may succeed', async () => {
    const request = { prompt: 'x', maxRetries: 0 };
    const unknown = await generateText({ ...request, model: modelOf({ model: 'gpt-4o' }) }).catch(
      (error) => error,
    );
    expect(APICallError.isInstance(unknown)).toBe(true);
    expect(unknown).toMatchObject({ statusCode: 404, isRetryable: false });
    expect(unknown.message).toContain('Available: deepseek');
    const stranger = await generateText({ ...request, model: modelOf({ apiKey: 'sk-nope' }) }).catch(
      (error) => error,
    );
    expect(stranger).toMatchObject({ statusCode: 401, isRetryable: false });
    const nobody = await generateText({ ...request, model: modelOf({ model: 'deepseek-r1-zero' }) }).catch(
      (error) => error,
    );
    expect(nobody).toMatchObject({ statusCode: 503, isRetryable: true });
  });

  it('waits for a late first token through comments and blank lines', async () => {
    const request = { prompt: 'Late. [[reasoning=5 answer=9]]' };
    const texts = await whileSilent(local, 7_000, () =>
      Promise.all([
        generateText({ ...request, model: modelOf() }).then(({ text }) => text),
        streamText({ ...request, model: modelOf() }).text,
      ]),
    );
    expect(texts).toEqual([expect.stringMatching(/answer/), expect.stringMatching(/answer/)]);
  });

  it('reports a broken stream as an error and not as an end', async () => {
    await everyEngine(local, { kind: 'die_mid_stream', times: 1, afterTokens: 5 });
    const errors: unknown[] = [];
    const prompt = 'Die. [[reasoning=50 answer=50]]';
    const result = streamText({
      model: modelOf(),
      prompt,
      maxRetries: 0,
      onError: ({ error }) => void errors.push(error),
    });
    await result.consumeStream({ onError: () => undefined });
    await everyEngine(local, null);
    expect(JSON.stringify(errors)).toContain('node failed');
    expect(errors.length).toBeGreaterThan(0);
  });
});

it('every answer has the published shape', async () => {
  const { answers, faults } = await recorder.faults();
  expect(answers).toBeGreaterThan(20);
  expect(faults).toEqual([]);
});

it('no law of money is broken', () => expectLaws(local));
