/** Counts of tokens equal what the request itself is then billed for: in each dialect, with tools, system texts and thoughts. */
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Local, startLocal } from './local.ts';

const MODEL = 'deepseek-reasoner';
let local: Local;
let openai: OpenAI;
let anthropic: Anthropic;
beforeAll(async () => {
  local = await startLocal();
  const { baseUrl, apiKey } = local.stack.dev;
  openai = new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey, maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: `${baseUrl}/anthropic`, apiKey, maxRetries: 0 });
});
afterAll(() => local.end());

const ASK = 'Why is the sky blue? [[reasoning=5 answer=5]]';
const parameters = {
  type: 'object' as const,
  properties: { city: { type: 'string', description: 'a town' } },
};

describe('a count is the prompt’s tokens', () => {
  const messageBodies: [string, Omit<Anthropic.MessageCountTokensParams, 'model'>][] = [
    ['a message', { messages: [{ role: 'user', content: ASK }] }],
    ['a system text', { system: 'Be brief.', messages: [{ role: 'user', content: ASK }] }],
    [
      'tools',
      { tools: [{ name: 'weather', input_schema: parameters }], messages: [{ role: 'user', content: ASK }] },
    ],
    [
      'thinking',
      { thinking: { type: 'enabled', budget_tokens: 1_024 }, messages: [{ role: 'user', content: ASK }] },
    ],
    [
      'a conversation',
      {
        messages: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: 'Hello. What is it?' },
          { role: 'user', content: ASK },
        ],
      },
    ],
  ];
  it.each(messageBodies)('of Messages with %s', async (_, body) => {
    const request = { model: MODEL, ...body };
    const { input_tokens } = await anthropic.messages.countTokens(request);
    const { usage } = await anthropic.messages.create({
      max_tokens: 2_000,
      ...request,
    } as Anthropic.MessageCreateParamsNonStreaming);
    expect(input_tokens).toBe(usage.input_tokens + (usage.cache_read_input_tokens ?? 0));
  });

  const tools = [{ type: 'function' as const, name: 'weather', strict: null, parameters }];
  it.each([
    ['an input', { input: ASK }],
    ['instructions', { input: ASK, instructions: 'Be brief.' }],
    ['tools', { input: ASK, tools }],
    ['an effort', { input: ASK, reasoning: { effort: 'low' as const } }],
  ])('of Responses with %s', async (_, body) => {
    const first = await openai.responses.create({ model: MODEL, ...body });
    const counted = await openai.responses.inputTokens.count({ model: MODEL, ...body });
    expect(counted).toMatchObject({
      object: 'response.input_tokens',
      input_tokens: first.usage!.input_tokens,
    });
    const next = { model: MODEL, ...body, input: ASK, previous_response_id: first.id };
    const more = await openai.responses.inputTokens.count(next);
    expect(more.input_tokens).toBe((await openai.responses.create(next)).usage!.input_tokens);
  });

  it.each([
    ['messages', {}],
    [
      'tools',
      { tools: [{ type: 'function', function: { name: 'weather', parameters } }], tool_choice: 'auto' },
    ],
    ['an effort', { reasoning_effort: 'low' }],
  ])('of chat with %s', async (_, over) => {
    const body = { model: MODEL, messages: [{ role: 'user', content: ASK }], ...over };
    const counted = (await openai.post('/chat/completions/input_tokens', { body })) as {
      input_tokens: number;
    };
    const answer = (await openai.post('/chat/completions', { body })) as OpenAI.ChatCompletion;
    expect(counted.input_tokens).toBe(answer.usage!.prompt_tokens);
  });
});
