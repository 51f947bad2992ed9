/** OpenAI's text completions with the official client. */
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorFaults } from '../shapes/openai-chat.ts';
import { textFaults, textStreamFaults } from '../shapes/openai-completions.ts';
import { expectLaws, type Local, startLocal } from './local.ts';
import { ResponseRecorder } from './response-recorder.ts';

const MODEL = 'deepseek-reasoner';
const recorder = new ResponseRecorder({ whole: textFaults, stream: textStreamFaults, error: errorFaults });
let local: Local;
let openai: OpenAI;
beforeAll(async () => {
  local = await startLocal();
  openai = clientWith('/v1');
});
afterAll(() => local.end());

function clientWith(path: string): OpenAI {
  const { baseUrl, apiKey } = local.stack.dev;
  return new OpenAI({ baseURL: `${baseUrl}${path}`, apiKey, maxRetries: 0, fetch: recorder.fetch });
}

describe('a text completion', () => {
  it('continues the prompt, and every token counts as output', async () => {
    const completion = await openai.completions.create({
      model: MODEL,
      prompt: 'Once upon a time [[answer=20]]',
      max_tokens: 100,
    });
    expect(completion.choices).toMatchObject([{ index: 0, finish_reason: 'stop', logprobs: null }]);
    expect(completion.choices[0]!.text.length).toBeGreaterThan(10);
    expect(completion.usage).toMatchObject({
      completion_tokens: 20,
      completion_tokens_details: { reasoning_tokens: 0 },
    });
  });

  it.each([{}, { stream_options: { include_usage: true } }])(
    'streams the same text with %o',
    async (over) => {
      const request = { model: MODEL, prompt: ['Once [[answer=30]]'], n: 2, echo: true };
      const whole = await openai.completions.create({ ...request });
      const texts = ['', ''];
      const usages: unknown[] = [];
      for await (const chunk of await openai.completions.create({ ...request, ...over, stream: true })) {
        for (const { index, text } of chunk.choices) texts[index] += text;
        if (chunk.usage) usages.push(chunk.usage);
      }
      expect(texts).toEqual(whole.choices.map(({ text }) => text));
      expect(texts.every((text) => text.startsWith('Once [['))).toBe(true);
      expect(usages).toMatchObject([{ completion_tokens: 60 }]);
    },
  );

  it('ends at its limit, under every path', async () => {
    for (const path of ['/v1', '', '/beta']) {
      const request = { model: MODEL, prompt: 'Long [[answer=50]]', max_tokens: 7 };
      const completion = await clientWith(path).completions.create(request);
      expect(completion.choices[0]!.finish_reason).toBe('length');
      expect(completion.usage!.completion_tokens).toBe(7);
    }
  });

  it.each([
    [{ suffix: 'the end' }, 'suffix'],
    [{ prompt: [1, 2, 3] }, 'prompt'],
    [{ prompt: ['a', 'b'] }, 'prompt'],
    [{ prompt: '' }, 'prompt'],
    [{ logprobs: 3 }, 'logprobs'],
    [{ best_of: 3 }, 'best_of'],
    [{ n: 9 }, 'n'],
  ])('with %j is rejected with the name of the field', async (over, param) => {
    const request = { model: MODEL, prompt: 'Hi', ...over } as OpenAI.CompletionCreateParamsNonStreaming;
    const refused = await openai.completions.create(request).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(OpenAI.BadRequestError);
    expect((refused as InstanceType<typeof OpenAI.APIError>).param).toBe(param);
  });
});

it('every answer has the shape of the client’s types, and no law of money is broken', async () => {
  const { answers, faults } = await recorder.faults();
  expect(answers).toBeGreaterThan(10);
  expect(faults).toEqual([]);
  await expectLaws(local);
});
