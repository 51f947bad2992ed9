/** LangChain's client for DeepSeek against a local Tollgate. It adds up usage over the chunks of a stream. */
import { type AIMessageChunk, HumanMessage, type ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatDeepSeek } from '@langchain/deepseek';
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

function chat(over: { apiKey?: string; model?: string; streamUsage?: boolean } = {}): ChatDeepSeek {
  const { baseUrl, apiKey } = local.stack.dev;
  const configuration = { baseURL: `${baseUrl}/v1`, fetch: recorder.fetch };
  return new ChatDeepSeek({ model: 'deepseek-reasoner', apiKey, maxRetries: 0, configuration, ...over });
}

async function joined(stream: AsyncIterable<AIMessageChunk>): Promise<AIMessageChunk> {
  let whole: AIMessageChunk | undefined;
  for await (const chunk of stream) whole = whole ? whole.concat(chunk) : chunk;
  return whole!;
}

const QUESTION = 'Why? [[reasoning=20 answer=10]]';
const USED = { output_tokens: 30, output_token_details: { reasoning: 20 } };

describe('ChatDeepSeek', () => {
  it('invokes, with reasoning beside the content', async () => {
    const answer = await chat().invoke(QUESTION);
    expect(answer.content).toMatch(/answer/);
    expect(answer.additional_kwargs.reasoning_content).toMatch(/think/);
    expect(answer.usage_metadata).toMatchObject(USED);
    expect(answer.response_metadata.finish_reason).toBe('stop');
  });

  it.each([true, false])(
    'streams, and the usage of all chunks adds up to the request’s, with streamUsage: %s',
    async (streamUsage) => {
      const whole = await chat().invoke(QUESTION);
      const answer = await joined(await chat({ streamUsage }).stream(QUESTION));
      expect(answer.content).toMatch(/answer/);
      expect(answer.additional_kwargs.reasoning_content).toMatch(/think/);
      expect(answer.usage_metadata).toMatchObject({
        ...USED,
        input_tokens: whole.usage_metadata!.input_tokens,
      });
      expect(answer.response_metadata.finish_reason).toBe('stop');
    },
  );

  const weather = tool(async ({ city }) => `sunny in ${city}`, {
    name: 'weather',
    description: 'the weather of a city',
    schema: z.object({ city: z.string() }),
  });
  const question = new HumanMessage('Weather? [tool] [[reasoning=5 answer=9 tools=2]]');

  it('calls tools, streamed and not, and continues with their results', async () => {
    const withTools = chat().bindTools([weather]);
    const whole = await withTools.invoke([question]);
    const streamed = await joined(await withTools.stream([question]));
    const shapes = (calls: { name: string; args: object }[] = []) =>
      calls.map(({ name, args }) => ({ name, args: Object.keys(args) }));
    const expected = Array(2).fill({ name: 'weather', args: ['city'] });
    expect(shapes(whole.tool_calls)).toEqual(expected);
    expect(shapes(streamed.tool_calls)).toEqual(expected);
    const results: ToolMessage[] = await Promise.all(whole.tool_calls!.map((call) => weather.invoke(call)));
    const answer = await withTools.invoke([question, whole, ...results]);
    expect(answer.content).toMatch(/answer/);
    expect(answer.tool_calls).toEqual([]);
  });

  it('returns an object of the schema', async () => {
    const schema = z.object({ answer: z.string(), done: z.boolean() });
    const structured = chat().withStructuredOutput(schema, { method: 'jsonMode' });
    expect(schema.safeParse(await structured.invoke('As JSON. [[reasoning=5]]')).success).toBe(true);
    const called = chat().withStructuredOutput(schema, { name: 'person', method: 'functionCalling' });
    expect(schema.safeParse(await called.invoke('By a tool. [[reasoning=5]]')).success).toBe(true);
  });

  it('throws API errors with their status', async () => {
    await expect(chat({ model: 'gpt-4o' }).invoke('x')).rejects.toMatchObject({ status: 404 });
    await expect(chat({ apiKey: 'sk-nope' }).invoke('x')).rejects.toMatchObject({ status: 401 });
    await expect(chat({ model: 'deepseek-r1-zero' }).stream('x').then(joined)).rejects.toMatchObject({
      status: 503,
    });
  });

  it('waits for a late first token through comments and blank lines', async () => {
    const question = 'Late. [[reasoning=5 answer=9]]';
    const answers = await whileSilent(local, 7_000, () =>
      Promise.all([chat().invoke(question), chat().stream(question).then(joined)]),
    );
    for (const { content } of answers) expect(content).toMatch(/answer/);
  });

  it('throws in the middle of a stream whose engine dies', async () => {
    await everyEngine(local, { kind: 'die_mid_stream', times: 1, afterTokens: 5 });
    const broken = chat().stream('Die. [[reasoning=50 answer=50]]').then(joined);
    await expect(broken).rejects.toThrow(/node failed/);
    await everyEngine(local, null);
  });
});

it('every answer has the published shape', async () => {
  const { answers, faults } = await recorder.faults();
  expect(answers).toBeGreaterThan(10);
  expect(faults).toEqual([]);
});

it('no law of money is broken', () => expectLaws(local));
