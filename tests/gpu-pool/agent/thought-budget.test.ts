/** Budgets of thoughts, kept by an engine that was started for them, and by the agent in front of any other. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readEngineLog } from '../../../gpu-pool/emulator/log.ts';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';
import { FakeEdge, requestId } from './fake-edge.ts';
import { BODY, generate, startTestAgent, startTestEmulator, tempDir, textOf, until } from './helpers.ts';

async function setUp(options: Partial<EmulatorOptions> = {}) {
  const [edge, stateDir] = await Promise.all([FakeEdge.start(), tempDir()]);
  const log = join(stateDir, 'engine.jsonl');
  const emulator = await startTestEmulator({ log, toolCallParser: 'deepseekv3', ...options });
  const logs: string[] = [];
  const agent = await startTestAgent({
    ...{ engineUrl: emulator.url, edgeUrl: edge.url, stateDir },
    log: (name) => logs.push(name),
  });
  const ask = async (more: object, text = '[[reasoning=200 answer=30]]') => {
    const jti = requestId();
    const messages = [{ role: 'user', content: text }];
    const body = { ...BODY, messages, max_tokens: 1_000, thinking_budget: 20, ...more };
    const answer = await generate({ agent, edge }, { body, claims: { jti, max_tokens: 1_000 } });
    const usage = answer.chunks.at(-1)?.usage;
    const finish = answer.chunks.flatMap(({ choices }) => choices).at(-1)?.finish_reason;
    return { ...answer, jti, usage, finish };
  };
  const receiptOf = (jti: string) => until(() => edge.receipts.find(({ request_id }) => request_id === jti));
  const asked = () => emulator.requests.map(({ body }) => body as Record<string, unknown>);
  return { edge, emulator, agent, logs, ask, receiptOf, asked, engineLog: () => readEngineLog(log) };
}

const JSON_ANSWER = { response_format: { type: 'json_object' } };
const TOOLS = {
  tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }],
};

describe('an agent in front of an engine without budgets', () => {
  it('closes a thought at its budget, and the answer follows', async () => {
    const { ask, asked, receiptOf, engineLog } = await setUp();
    const { jti, chunks, usage, finish, done } = await ask({});
    expect([done, finish]).toEqual([true, 'stop']);
    expect(textOf(chunks, 'reasoning_content')).toMatch(/^Okay, let me think/);
    expect(textOf(chunks)).toMatch(/^Here is the answer/);
    expect(textOf(chunks)).not.toContain('think>');

    const [thought, answer] = [engineLog().get(jti)!, engineLog().get(`answer-${jti}`)!];
    expect(usage).toMatchObject({
      prompt_tokens: thought.promptTokens,
      reasoning_tokens: 20,
      completion_tokens: 20 + answer.completionTokens,
    });
    const receipt = await receiptOf(jti);
    expect(receipt.usage).toEqual(usage);
    // Tokens that an engine without budgets generates until it is stopped are expected, and no finding for the operator.
    expect(receipt.over_budget_tokens).toBe(thought.completionTokens - 20);
    expect(receipt).not.toHaveProperty('overrun_tokens');
    expect(asked()[1]).toMatchObject({ max_tokens: 980 });
    expect(asked()[1]).not.toHaveProperty('custom_params');
  });

  it('counts of each chunk only grow', async () => {
    const { ask } = await setUp({ speed: 50 });
    const { chunks } = await ask({});
    const counts = chunks.map(({ usage }) => usage.completion_tokens);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    expect(Math.max(...chunks.map(({ usage }) => usage.reasoning_tokens))).toBe(20);
  });

  it('leaves a shorter thought alone', async () => {
    const { ask, asked } = await setUp();
    const { chunks, usage } = await ask({}, '[[reasoning=15 answer=30]]');
    expect(usage).toMatchObject({ reasoning_tokens: 15, completion_tokens: 45 });
    expect(textOf(chunks)).toMatch(/^Here is the answer/);
    expect(asked()).toHaveLength(1);
  });

  it('lets the model call tools behind the closed thought', async () => {
    const { ask } = await setUp();
    const { chunks, finish } = await ask(TOOLS, '[tool] [[reasoning=200]]');
    const calls = chunks.flatMap(({ choices }) => choices).flatMap(({ delta }) => delta.tool_calls ?? []);
    expect(calls[0]?.function.name).toBe('f');
    expect(finish).toBe('tool_calls');
  });

  it('ends the answer at the tokens that are left', async () => {
    const { ask } = await setUp();
    const { usage, finish } = await ask({ max_tokens: 30 }, '[[reasoning=200 answer=200]]');
    expect([usage?.completion_tokens, finish]).toEqual([30, 'length']);
  });

  it('ends the answer where the thought has used up its tokens, too, and asks the engine for no more', async () => {
    const { ask, asked, receiptOf } = await setUp();
    const { jti, usage, chunks, finish, done } = await ask({ max_tokens: 20 });
    expect([usage?.completion_tokens, finish, done]).toEqual([20, 'length', true]);
    expect(chunks.flatMap(({ choices }) => choices).filter((each) => each.finish_reason)).toHaveLength(1);
    expect(asked()).toHaveLength(1);
    expect((await receiptOf(jti)).outcome).toBe('finished');
  });

  it.each([
    ['JSON output', JSON_ANSWER],
    ['a required call', { ...TOOLS, tool_choice: 'required' }],
    ['several choices', { n: 2 }],
  ])('refuses a budget with %s, and asks no engine', async (_, more) => {
    const { ask, asked } = await setUp();
    const { status, error } = await ask(more);
    expect([status, error?.code, error?.message]).toEqual([
      400,
      'bad_request',
      expect.stringContaining('budget of a thought'),
    ]);
    expect(asked()).toEqual([]);
  });

  it('leaves out a budget with JSON output that only stands for an effort', async () => {
    const { ask } = await setUp();
    const { status, usage } = await ask({ ...JSON_ANSWER, thinking_budget_hint: true });
    expect([status, usage?.reasoning_tokens]).toEqual([200, 200]);
  });
});

describe('an agent in front of an engine with budgets', () => {
  it.each([
    ['alone', {}],
    ['with JSON output', JSON_ANSWER],
  ])('has the engine keep it, %s', async (_, more) => {
    const { ask, asked, logs } = await setUp({ strictThinking: 'with_variable' });
    const { chunks, usage } = await ask(more);
    expect(asked()).toHaveLength(1);
    expect(asked()[0]).toMatchObject({ custom_params: { thinking_budget: 19 } });
    // The tag that closes the thought is one of them.
    expect(usage?.reasoning_tokens).toBe(20);
    expect(textOf(chunks)).not.toBe('');
    expect(logs).not.toContain('thinking_budget_ignored');
  });

  it('keeps budgets itself once the engine has ignored one, as it does without the variable', async () => {
    const { ask, asked, logs } = await setUp({ strictThinking: 'without_variable' });
    const first = await ask({});
    expect(textOf(first.chunks)).toMatch(/^Here is the answer/);
    expect(first.usage?.reasoning_tokens).toBe(24);
    expect(logs.filter((name) => name === 'thinking_budget_ignored')).toHaveLength(1);
    const second = await ask({});
    expect(second.usage?.reasoning_tokens).toBe(20);
    expect(asked()[2]).not.toHaveProperty('custom_params');
    expect((await ask(JSON_ANSWER)).status).toBe(400);
  });

  it('ends an answer of JSON whose thought the engine does not end', async () => {
    const { ask } = await setUp({ strictThinking: 'without_variable' });
    const { usage, finish, status } = await ask(JSON_ANSWER);
    expect([status, finish]).toEqual([200, 'length']);
    expect(usage?.completion_tokens).toBeLessThan(200);
  });

  it('ends each of several choices whose thought the engine does not end, and only those', async () => {
    const { ask, logs, receiptOf } = await setUp({ strictThinking: 'without_variable', speed: 20 });
    const { jti, chunks, status, done, usage } = await ask({ n: 2, max_tokens: 500 });
    const ends = chunks.flatMap(({ choices }) => choices).filter((each) => each.finish_reason);
    expect([status, done]).toEqual([200, true]);
    expect(ends.map(({ index, finish_reason }) => [index, finish_reason]).toSorted()).toEqual([
      [0, 'length'],
      [1, 'length'],
    ]);
    expect(usage?.completion_tokens).toBeLessThan(2 * 200);
    expect((await receiptOf(jti)).usage).toEqual(usage);
    expect(logs.filter((name) => name === 'thinking_budget_ignored')).toHaveLength(1);
    expect((await ask({ n: 2 })).status).toBe(400);
  });

  it('lets several choices go on whose budget only stands for an effort, and notices that the engine ignored it', async () => {
    const { ask, logs } = await setUp({ strictThinking: 'without_variable' });
    const { usage, finish } = await ask({ n: 2, max_tokens: 500, thinking_budget_hint: true });
    expect([usage?.reasoning_tokens, finish]).toEqual([2 * 200, 'stop']);
    expect(logs).toContain('thinking_budget_ignored');
  });
});
