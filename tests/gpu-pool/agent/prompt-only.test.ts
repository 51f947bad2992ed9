/** A request of nothing but its prompt: the engine reads it into its cache, and the answer is empty. */
import { describe, expect, it } from 'vitest';
import { FakeEdge, requestId } from './fake-edge.ts';
import {
  BODY,
  generate,
  setUp as startScripted,
  startTestAgent,
  startTestEmulator,
  tempDir,
  until,
} from './helpers.ts';
import { sendPromptPass, usage } from './scripted-engine.ts';

async function setUp() {
  const [edge, stateDir] = await Promise.all([FakeEdge.start(), tempDir()]);
  const emulator = await startTestEmulator({ toolCallParser: 'deepseekv3', pageTokens: 1 });
  const agent = await startTestAgent({ engineUrl: emulator.url, edgeUrl: edge.url, stateDir });
  const ask = async (body: object, claims: object = {}) => {
    const jti = requestId();
    const answer = await generate({ agent, edge }, { body, claims: { jti, ...claims } });
    return { answer, receipt: edge.receipts.find(({ request_id }) => request_id === jti) };
  };
  return { emulator, ask, edge };
}

const { messages, ...REST } = BODY;
const ONLY = { ...REST, max_tokens: 1, prompt_only: true };
const WEATHER = { type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } };

describe('a request of nothing but its prompt', () => {
  it.each<[string, object, number]>([
    ['messages', { ...ONLY, messages }, 1],
    ['several choices', { ...ONLY, messages, n: 3 }, 3],
    ['tools', { ...ONLY, messages, tools: [WEATHER] }, 1],
    ['a JSON answer', { ...ONLY, messages, response_format: { type: 'json_object' } }, 1],
    ['a budget', { ...ONLY, messages, thinking_budget: 1 }, 1],
    ['a text', { ...ONLY, prompt: 'Once upon a time' }, 1],
  ])('with %s makes no token, and the next one finds the prompt in the cache', async (_, body, choices) => {
    const { ask, emulator, edge } = await setUp();
    const { answer } = await ask(body);
    expect(answer.done).toBe(true);
    expect(answer.chunks.map((chunk) => chunk.choices)).toEqual([
      Array.from({ length: choices }, (__, index) => ({ index, delta: {}, finish_reason: 'length' })),
    ]);
    const [{ usage: counted } = { usage: null }] = answer.chunks;
    expect(counted).toMatchObject({ cached_tokens: 0, completion_tokens: 0, reasoning_tokens: 0 });
    expect(counted!.prompt_tokens).toBeGreaterThan(1);
    expect(emulator.requests.map(({ body: asked }) => (asked as { max_tokens: number }).max_tokens)).toEqual([
      1,
    ]);
    const receipt = await until(() => edge.receipts[0]);
    expect(receipt).toMatchObject({ outcome: 'finished', usage: counted });

    const { answer: next } = await ask({ ...body, n: 1, max_tokens: 5, prompt_only: undefined });
    expect(next.chunks.at(-1)?.usage).toMatchObject({
      prompt_tokens: counted!.prompt_tokens,
      cached_tokens: counted!.prompt_tokens - 1,
    });
  });

  it('is refused where its prompt is too long, although the engine had not counted it before', async () => {
    const { agent, edge, engine } = await startScripted();
    engine.onChat = ({ res }) => sendPromptPass(res, { ...usage(1), prompt_tokens: 5_000 });
    const body = { ...ONLY, messages };
    const answer = await generate({ agent, edge }, { body, claims: { context_tokens: 4_000 } });
    expect(answer.status).toBe(400);
  });
});
