/** Answers that go on from a beginning which the client has written, at an engine whose template opens thoughts, and without. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { prefixText, thoughtAtEnd } from '../../../gpu-pool/agent/sglang/continuation.ts';
import { startEmulator } from '../../../gpu-pool/emulator/server.ts';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';
import { FakeEdge, requestId } from './fake-edge.ts';
import { BODY, generate, startTestAgent, tempDir, textOf, until } from './helpers.ts';

async function setUp({ thinks = true, ...options }: Partial<EmulatorOptions> & { thinks?: boolean } = {}) {
  const [edge, stateDir] = await Promise.all([FakeEdge.start(), tempDir()]);
  const emulator = await startEmulator({
    profile: '8xh200',
    cacheReport: true,
    ...(thinks ? { reasoningParser: 'deepseek-r1' } : {}),
    toolCallParser: 'deepseekv3',
    maxQueuedRequests: 256,
    priorities: { enabled: true },
    ...options,
  });
  onTestFinished(() => emulator.close());
  const agent = await startTestAgent({ engineUrl: emulator.url, edgeUrl: edge.url, stateDir });
  const ask = async (prefix: object, more: object = {}, claims: object = {}) => {
    const jti = requestId();
    const messages = [
      { role: 'user', content: '[[reasoning=20 answer=30]]' },
      { role: 'answer_prefix', ...prefix },
    ];
    const body = { ...BODY, messages, ...more };
    const answer = await generate({ agent, edge }, { body, claims: { jti, max_tokens: 1_000, ...claims } });
    const usage = answer.chunks.at(-1)?.usage;
    const finish = answer.chunks.flatMap(({ choices }) => choices).at(-1)?.finish_reason;
    return { ...answer, jti, usage, finish };
  };
  const receiptOf = (jti: string) => until(() => edge.receipts.find(({ request_id }) => request_id === jti));
  const asked = () => emulator.requests.map(({ body }) => body as Record<string, unknown>);
  return { ask, asked, receiptOf };
}

const TOOLS = {
  tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }],
};

describe('an agent', () => {
  it('has the answer go on as content, of which no token is reasoning', async () => {
    const { ask, receiptOf } = await setUp();
    const { jti, chunks, usage, finish, done } = await ask({ content: 'One, two' });
    expect([done, finish, textOf(chunks, 'reasoning_content')]).toEqual([true, 'stop', '']);
    expect(textOf(chunks)).not.toBe('');
    expect(textOf(chunks)).not.toContain('One, two');
    expect(usage).toMatchObject({ reasoning_tokens: 0, completion_tokens: 30 });
    expect((await receiptOf(jti)).usage).toEqual(usage);
  });

  it('has a thought go on as reasoning, and the answer follow', async () => {
    const { ask } = await setUp();
    const { chunks, usage } = await ask({ content: null, reasoning_content: 'First I' });
    expect(textOf(chunks, 'reasoning_content')).not.toBe('');
    expect(textOf(chunks)).not.toBe('');
    expect(textOf(chunks)).not.toContain('think>');
    expect(usage).toMatchObject({ reasoning_tokens: 20, completion_tokens: 50 });
  });

  it('counts the beginning as prompt', async () => {
    const { ask } = await setUp();
    const short = await ask({ content: 'One' });
    const long = await ask({ content: 'One', reasoning_content: 'word '.repeat(50) });
    expect(long.usage!.prompt_tokens - short.usage!.prompt_tokens).toBeGreaterThan(45);
    const refused = await ask({ content: 'word '.repeat(50) }, {}, { context_tokens: 40 });
    expect([refused.status, refused.error?.code]).toEqual([400, 'bad_request']);
    expect(refused.error?.context?.context_tokens).toBe(40);
  });

  it('keeps the budget of a thought that goes on, and none behind it', async () => {
    const { ask, asked } = await setUp();
    const open = await ask({ content: null, reasoning_content: 'First I' }, { thinking_budget: 5 });
    expect(open.usage).toMatchObject({ reasoning_tokens: 5 });
    expect(textOf(open.chunks)).not.toBe('');
    const before = asked().length;
    const closed = await ask({ content: 'One, two' }, { thinking_budget: 5 });
    expect(closed.usage).toMatchObject({ reasoning_tokens: 0, completion_tokens: 30 });
    expect(asked()).toHaveLength(before + 1);
  });

  it('gives an engine that keeps budgets none for an answer that goes on', async () => {
    const { ask, asked } = await setUp({ strictThinking: 'with_variable' });
    await ask({ content: 'One, two' }, { thinking_budget: 5 });
    expect(asked().at(-1)).not.toHaveProperty('custom_params');
  });

  it('looks for stop texts behind the beginning only', async () => {
    const { ask } = await setUp();
    const { finish, chunks } = await ask({ content: 'One, two. END' }, { stop: ['END'] });
    expect([finish, textOf(chunks) === '']).toEqual(['stop', false]);
  });

  it('lets the model call a tool behind the beginning', async () => {
    const { ask } = await setUp();
    const { status, usage } = await ask({ content: 'I look it up.' }, TOOLS);
    expect([status, usage?.reasoning_tokens]).toEqual([200, 0]);
  });

  it('has several choices go on', async () => {
    const { ask } = await setUp();
    const { chunks, usage } = await ask({ content: 'One, two' }, { n: 2 });
    const indexes = new Set(chunks.flatMap(({ choices }) => choices.map(({ index }) => index)));
    expect(indexes).toEqual(new Set([0, 1]));
    expect(usage).toMatchObject({ reasoning_tokens: 0, completion_tokens: 60 });
  });

  it.each([
    ['JSON output', { response_format: { type: 'json_object' } }],
    ['a required call', { ...TOOLS, tool_choice: 'required' }],
  ])('refuses a beginning with %s, and asks no engine', async (_, more) => {
    const { ask, asked } = await setUp();
    const { status, error } = await ask({ content: 'One' }, more);
    expect([status, error?.code]).toEqual([400, 'bad_request']);
    expect(asked()).toHaveLength(0);
  });

  it('refuses a beginning at an engine whose answers it does not take apart', async () => {
    const { ask } = await setUp({ reasoningParser: 'gpt-oss' });
    const { status, error } = await ask({ content: 'One' });
    expect([status, error?.code]).toEqual([400, 'bad_request']);
  });

  it('needs no tags at a model that never thinks', async () => {
    const { ask } = await setUp({ thinks: false });
    const { usage, chunks } = await ask({ content: 'One, two' });
    expect(textOf(chunks)).not.toBe('');
    expect(usage?.reasoning_tokens).toBe(0);
  });
});

describe('the text behind the prompt', () => {
  const answer = { role: 'answer_prefix' as const, content: 'One' };
  const thought = { ...answer, content: null, reasoning_content: 'Hm' };
  it.each([
    [answer, 'none', '<think>\n</think>\n\nOne'],
    [answer, 'open', '\n</think>\n\nOne'],
    [answer, 'closed', 'One'],
    [{ ...answer, reasoning_content: 'Hm\n' }, 'none', '<think>Hm\n</think>One'],
    [{ ...answer, reasoning_content: 'Hm\n' }, 'open', 'Hm\n</think>One'],
    [{ ...answer, reasoning_content: 'Hm\n' }, 'closed', 'One'],
    [thought, 'none', '<think>Hm'],
    [thought, 'open', 'Hm'],
    [thought, 'closed', null],
  ] as const)('%j behind a thought that is %s is %j', (prefix, state, text) => {
    expect(prefixText(prefix, state)).toBe(text);
  });

  it('is decided by the tag at the very end of the prompt', () => {
    const tags = { open: [7], close: [8] };
    expect(thoughtAtEnd([1, 7], tags)).toBe('open');
    expect(thoughtAtEnd([1, 7, 2], tags)).toBe('open');
    expect(thoughtAtEnd([1, 7, 2, 8, 2], tags)).toBe('closed');
    expect(thoughtAtEnd([1, 7, 8], tags)).toBe('closed');
    expect(thoughtAtEnd([7, 1, 2, 3], tags)).toBe('none');
    expect(thoughtAtEnd([7], { open: [6, 7], close: [8, 9] })).toBe('none');
    expect(thoughtAtEnd([6, 7, 2], { open: [6, 7], close: [8, 9] })).toBe('open');
  });
});
