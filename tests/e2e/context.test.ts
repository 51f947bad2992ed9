/** The published context over real processes: edge, agent and engine, each with its own count. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { renderChat } from '../../gpu-pool/emulator/tokenizer.ts';
import { balance, type Local, startLocal } from './local.ts';

let local: Local;
beforeAll(async () => {
  local = await startLocal();
});
afterAll(() => local.end());

const CONTEXT = 131_072;

interface Answer {
  readonly error: { readonly code: string; readonly param: string; readonly message: string };
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

async function ask(body: object): Promise<{ status: number; body: Answer }> {
  const response = await fetch(`${local.stack.dev.baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${local.stack.dev.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'deepseek-r1-0528', ...body }),
  });
  return { status: response.status, body: await response.json() };
}

/** A conversation of exactly so many tokens, as the emulated engine counts them. */
function words(tokens: number) {
  const messages = (count: number) => [
    { role: 'user', content: `[[reasoning=2 answer=3]] ${'a '.repeat(count)}` },
  ];
  return messages(tokens - renderChat(messages(0), { reasoning: true }).length);
}

it.each([true, false])(
  'refuses a prompt of 157,526 tokens with both counts, and charges nothing (stream: %s)',
  async (stream) => {
    const before = await balance(local);
    const { status, body } = await ask({ messages: words(157_526), stream });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: 'context_length_exceeded', param: 'messages' });
    expect(body.error.message).toMatch(/maximum context length is 131072 tokens.* 157526 tokens/);
    expect(await balance(local)).toEqual(before);
  },
);

it('serves the longest prompt that is sold, with an answer of the default length, and bills it as counted', async () => {
  const { status, body } = await ask({ messages: words(CONTEXT) });
  expect(status).toBe(200);
  expect(body.usage).toMatchObject({ prompt_tokens: CONTEXT, completion_tokens: 5 });
});
