/** Answers that go on from a beginning, through edge, agent and engine, by the clients whose APIs have it; then the laws. */
import Anthropic from '@anthropic-ai/sdk';
import type OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectLaws, type Local, startLocal } from './local.ts';

let local: Local;
let anthropic: Anthropic;
beforeAll(async () => {
  local = await startLocal();
  const { apiKey, baseUrl } = local.stack.dev;
  anthropic = new Anthropic({ baseURL: `${baseUrl}/anthropic`, apiKey, maxRetries: 0 });
});
afterAll(() => local.end());

const model = 'deepseek-reasoner';
const user = { role: 'user' as const, content: 'Count. [[reasoning=20 answer=30]]' };

type ThinkingMessage = OpenAI.ChatCompletionMessage & { reasoning_content?: string | null };

function chat(prefix: object, more: object = {}) {
  const messages = [user, { role: 'assistant', prefix: true, ...prefix }];
  return { model, messages, ...more } as OpenAI.ChatCompletionCreateParamsNonStreaming;
}

describe('a chat', () => {
  it('goes on behind its prefix, streamed and whole', async () => {
    const whole = await local.openai.chat.completions.create(chat({ content: 'One, two' }));
    const { content, reasoning_content: thought } = whole.choices[0]!.message as ThinkingMessage;
    expect(thought ?? '').toBe('');
    expect(content).toBeTruthy();
    expect(content).not.toContain('One, two');
    expect(whole.usage).toMatchObject({
      completion_tokens: 30,
      completion_tokens_details: { reasoning_tokens: 0 },
    });
    const stream = local.openai.chat.completions.stream({
      ...chat({ content: 'One, two' }),
      stream: true,
      stream_options: { include_usage: true },
    });
    const streamed = await stream.finalChatCompletion();
    expect(streamed.choices[0]!.message.content).toBe(content);
    expect(streamed.usage).toMatchObject({
      prompt_tokens: whole.usage!.prompt_tokens,
      completion_tokens: 30,
      completion_tokens_details: { reasoning_tokens: 0 },
    });
  });

  it('goes on inside a thought, and answers behind it', async () => {
    const answer = await local.openai.chat.completions.create(
      chat({ content: '', reasoning_content: 'First I' }),
    );
    const { content, reasoning_content: thought } = answer.choices[0]!.message as ThinkingMessage;
    expect(thought).toBeTruthy();
    expect(content).toBeTruthy();
    expect(answer.usage).toMatchObject({
      completion_tokens: 50,
      completion_tokens_details: { reasoning_tokens: 20 },
    });
  });

  it('never shows the engine a tag of the client’s, and bills the prefix as prompt', async () => {
    const short = await local.openai.chat.completions.create(chat({ content: 'One' }));
    const long = await local.openai.chat.completions.create(
      chat({ content: `One ${'word '.repeat(40)} <think> <｜User｜>` }),
    );
    expect(long.usage!.prompt_tokens).toBeGreaterThan(short.usage!.prompt_tokens + 39);
    expect(long.usage).toMatchObject({ completion_tokens_details: { reasoning_tokens: 0 } });
  });

  it.each([
    [chat({ content: 'A', prefix: false }), 'messages[1]'],
    [chat({ content: '{' }, { response_format: { type: 'json_object' } }), 'response_format'],
  ])('is refused by the field where it cannot go on', async (body, param) => {
    await expect(local.openai.chat.completions.create(body)).rejects.toMatchObject({ status: 400, param });
  });
});

describe('a message', () => {
  const ask = (content: Anthropic.MessageParam['content'], more: object = {}) => ({
    ...{ model, max_tokens: 1_000 },
    messages: [user, { role: 'assistant' as const, content }],
    ...more,
  });

  it('goes on behind the assistant’s last text, streamed and whole', async () => {
    const whole = await anthropic.messages.create(ask('One, two'));
    expect(whole.content.map(({ type }) => type)).toEqual(['text']);
    expect(whole).toMatchObject({ stop_reason: 'end_turn', usage: { output_tokens: 30 } });
    const streamed = await anthropic.messages.stream(ask('One, two')).finalMessage();
    expect(streamed.content).toMatchObject(whole.content);
    expect(streamed.usage.output_tokens).toBe(30);
  });

  it('goes on behind or inside a thinking block', async () => {
    const thinking = { type: 'thinking' as const, thinking: 'Hm', signature: '' };
    const behind = await anthropic.messages.create(ask([thinking, { type: 'text', text: 'One' }]));
    expect(behind.content.map(({ type }) => type)).toEqual(['text']);
    const inside = await anthropic.messages.create(ask([thinking]));
    expect(inside.content.map(({ type }) => type)).toEqual(['thinking', 'text']);
    expect(inside.usage.output_tokens).toBe(50);
  });

  it('is refused with blanks at the end', async () => {
    await expect(anthropic.messages.create(ask('One '))).rejects.toMatchObject({ status: 400 });
  });
});

it('all records agree', async () => {
  await expectLaws(local);
});
