/**
 * The agent in front of the emulated engine, with every fault that the emulator can script. The engine's own log is
 * the independent evidence of what was generated.
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AgentOptions } from '../../../gpu-pool/agent/options.ts';
import type { Fault } from '../../../gpu-pool/emulator/faults.ts';
import { readEngineLog } from '../../../gpu-pool/emulator/log.ts';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';
import { FakeEdge, requestId } from './fake-edge.ts';
import {
  BODY,
  generate,
  post,
  read,
  startTestAgent,
  startTestEmulator,
  tempDir,
  textOf,
  until,
} from './helpers.ts';

async function setUp(options: Partial<EmulatorOptions> = {}, deadlines: AgentOptions['deadlines'] = {}) {
  const [edge, stateDir] = await Promise.all([FakeEdge.start(), tempDir()]);
  const log = join(stateDir, 'engine.jsonl');
  const emulator = await startTestEmulator({ log, ...options });
  const agent = await startTestAgent({
    engineUrl: emulator.url,
    edgeUrl: edge.url,
    stateDir,
    deadlines: { abortGraceMs: 300, ...deadlines },
  });
  return { edge, emulator, agent, engineLog: () => readEngineLog(log) };
}

describe('the agent in front of an emulated engine', () => {
  it('counts exactly what the engine logged, for one choice and for several', async () => {
    const { edge, agent, engineLog } = await setUp();
    for (const n of [1, 3]) {
      const jti = requestId();
      const answer = await generate(
        { agent, edge },
        { body: { ...BODY, max_tokens: 40, n }, claims: { jti } },
      );
      expect(answer.done).toBe(true);
      const receipt = await until(() => edge.receipts.find(({ request_id }) => request_id === jti));
      expect(answer.chunks.at(-1)?.usage).toEqual(receipt.usage);
      expect(engineLog().get(jti)).toMatchObject({
        promptTokens: receipt.usage.prompt_tokens,
        completionTokens: receipt.usage.completion_tokens,
      });
    }
  });

  it('lets an interactive request take the place of a line of a batch', async () => {
    // At this speed the line of the batch would run for minutes.
    const { edge, emulator, agent } = await setUp({ speed: 1, override: { maxRunningRequests: 1 } });
    const line = '[[reasoning=10 answer=20000]]';
    const client = new AbortController();
    const response = await post(
      agent.url,
      '/v1/generate',
      await edge.sign({ max_tokens: 30_000 }),
      { ...BODY, messages: [{ role: 'user', content: line }], max_tokens: 30_000, background: true },
      client.signal,
    );
    expect(response.status).toBe(200);
    const messages = [{ role: 'user', content: '[[reasoning=5 answer=5]]' }];
    expect((await generate({ agent, edge }, { body: { ...BODY, messages } })).done).toBe(true);
    expect(emulator.engine.load.runningRequests + emulator.engine.load.waitingRequests).toBe(1);
    client.abort();
  });

  it.each([
    { requests: 60, n: 1 },
    { requests: 6, n: 8 },
  ])(
    'serves a burst of $requests requests with n = $n that the engine’s queue cannot take at once',
    async (burst) => {
      const { edge, emulator, agent } = await setUp({
        ...{ speed: 1, maxQueuedRequests: 8, override: { prefillBaseMs: 300 } },
      });
      const messages = [{ role: 'user', content: '[[reasoning=5 answer=5]]' }];
      const answers = Array.from({ length: burst.requests }, () =>
        generate({ agent, edge }, { body: { ...BODY, messages, n: burst.n } }),
      );
      expect((await Promise.all(answers)).map(({ status, done }) => [status, done])).toEqual(
        Array(burst.requests).fill([200, true]),
      );
      // Before several choices comes a pass over the prompt.
      expect(emulator.requests).toHaveLength(burst.n === 1 ? 50 : 2 * burst.requests);
    },
  );

  it('tells the edge that a line of a batch was thrown out of the queue for an interactive request', async () => {
    const { edge, emulator, agent } = await setUp({
      ...{ speed: 1, maxQueuedRequests: 8, override: { maxRunningRequests: 1 } },
    });
    const long = [{ role: 'user', content: '[[reasoning=9000 answer=5]]' }];
    const send = async (background: boolean, client: AbortSignal) => {
      const body = { ...BODY, messages: long, max_tokens: 9_500, background };
      const headers = await edge.sign({ max_tokens: 9_500 });
      return read(await post(agent.url, '/v1/generate', headers, body, client));
    };
    const leaving = new AbortController();
    const running = send(false, leaving.signal).catch(() => null);
    await until(() => emulator.engine.load.runningRequests === 1);
    const lines = Array.from({ length: 8 }, () => send(true, leaving.signal).catch(() => null));
    await until(() => emulator.engine.load.waitingRequests === 8);
    const interactive = send(false, leaving.signal).catch(() => null);
    const evicted = await Promise.race(lines);
    expect([evicted?.status, evicted?.error?.code]).toEqual([503, 'overloaded']);
    expect(emulator.engine.load.waitingRequests).toBe(8);
    leaving.abort();
    await Promise.all([running, interactive, ...lines]);
  });

  it.each([
    { n: 1, chat: true },
    { n: 3, chat: true },
    { n: 1, chat: false },
  ])(
    'stops the engine at a stop string and counts what it generated (n = $n, chat: $chat)',
    async (options) => {
      const { edge, emulator, agent, engineLog } = await setUp({ speed: 1 }, { abortGraceMs: 60_000 });
      const jti = requestId();
      const prompt = '[[reasoning=20 answer=9000]]';
      const input = options.chat ? { messages: [{ role: 'user', content: prompt }] } : { prompt };
      const { messages: _, ...rest } = BODY;
      // Every answer of the emulator begins with these words, and its reasoning with others.
      const stop = options.chat ? [' let', ' the answer'] : ['. '];
      const answer = await generate(
        { agent, edge },
        {
          body: { ...rest, ...input, n: options.n, max_tokens: 9_000, stop },
          claims: { jti, max_tokens: 9_000 * options.n },
        },
      );
      expect(answer.done).toBe(true);
      const choices = answer.chunks.flatMap((chunk) => chunk.choices);
      expect(
        choices.filter((choice) => choice.finish_reason).map(({ stop_sequence }) => stop_sequence),
      ).toEqual(Array(options.n).fill(stop.at(-1)));
      if (options.chat) {
        for (let index = 0; index < options.n; index += 1) {
          expect(textOf(answer.chunks, 'content', index)).toBe('Here is');
          expect(textOf(answer.chunks, 'reasoning_content', index)).toContain(' let');
        }
      }
      const receipt = await until(() => edge.receipts.find(({ request_id }) => request_id === jti));
      await until(() => engineLog().get(jti)?.finished);
      expect(receipt.outcome).toBe('finished');
      expect(receipt.usage.completion_tokens).toBe(engineLog().get(jti)!.completionTokens);
      expect(receipt.usage.completion_tokens).toBeLessThan(9_000);
      expect((emulator.requests.at(-1)!.body as { stop?: unknown }).stop).toBeUndefined();
    },
  );

  it('stops the engine behind the only call of an answer, and counts what it generated', async () => {
    const { edge, agent, engineLog } = await setUp(
      { speed: 1, toolCallParser: 'deepseekv3' },
      { abortGraceMs: 60_000 },
    );
    const jti = requestId();
    const tool = { type: 'function', function: { name: 'get_weather', parameters: { type: 'object' } } };
    const body = {
      ...{ ...BODY, max_tokens: 2_000, tools: [tool], parallel_tool_calls: false },
      messages: [{ role: 'user', content: '[tool] [[reasoning=20 tools=50]]' }],
    };
    const answer = await generate({ agent, edge }, { body, claims: { jti, max_tokens: 2_000 } });
    const choices = answer.chunks.flatMap((chunk) => chunk.choices);
    const calls = choices.flatMap(({ delta }) => delta.tool_calls ?? []);
    expect(new Set(calls.map(({ index }) => index))).toEqual(new Set([0]));
    expect(choices.at(-1)?.finish_reason).toBe('tool_calls');
    const receipt = await until(() => edge.receipts.find(({ request_id }) => request_id === jti));
    await until(() => engineLog().get(jti)?.finished);
    expect(receipt).toMatchObject({ outcome: 'finished' });
    expect(receipt.usage.completion_tokens).toBe(engineLog().get(jti)!.completionTokens);
    // Fifty calls are more than a thousand tokens.
    expect(receipt.usage.completion_tokens).toBeLessThan(1_000);
  });

  it.each([
    { n: 1, after: 'a token of each choice' },
    { n: 3, after: 'a token of each choice' },
    { n: 8, after: 'a token of each choice' },
    { n: 8, after: 'the first token of any' },
  ])('stops $n choices at once when the client leaves after $after', async ({ n, after }) => {
    // An abort that reaches nothing would leave the choices running until this grace has passed.
    const { edge, emulator, agent, engineLog } = await setUp({ speed: 1 }, { abortGraceMs: 60_000 });
    const jti = requestId();
    const client = new AbortController();
    const body = {
      ...{ ...BODY, n, max_tokens: 5_000 },
      messages: [{ role: 'user', content: '[[reasoning=2000 answer=2000]]' }],
    };
    const headers = await edge.sign({ jti, max_tokens: 40_000 });
    const response = await post(agent.url, '/v1/generate', headers, body, client.signal);
    if (after === 'a token of each choice') {
      await until(() => (engineLog().get(jti)?.completionTokens ?? 0) >= 10 * n);
    }
    expect(response.status).toBe(200);
    client.abort();
    const receipt = await until(() => edge.receipts.find(({ request_id }) => request_id === jti));
    await until(() => engineLog().get(jti)?.finished);
    expect(emulator.engine.load.runningRequests).toBe(0);
    expect(receipt.outcome).toBe('aborted');
    const generated = engineLog().get(jti)!.completionTokens;
    expect(generated).toBeLessThan(2_000 * n);
    expect(receipt.usage.completion_tokens).toBeLessThanOrEqual(generated);
    if (after === 'a token of each choice') expect(receipt.usage.completion_tokens).toBe(generated);
  });

  it('cuts its connection where the engine has named no choice yet', async () => {
    const { edge, emulator, agent } = await setUp(
      { speed: 1, override: { maxRunningRequests: 1 } },
      { abortGraceMs: 60_000 },
    );
    // While the engine stands still, a long answer comes behind the pass over the prompt and before the choices.
    emulator.engine.freeze();
    const client = new AbortController();
    const jti = requestId();
    const headers = await edge.sign({ jti });
    const waiting = post(agent.url, '/v1/generate', headers, { ...BODY, n: 3 }, client.signal);
    await until(() => emulator.engine.load.waitingRequests === 1);
    const blocking = new AbortController();
    const first = await edge.sign({ max_tokens: 9_000 });
    const long = { ...BODY, messages: [{ role: 'user', content: '[[reasoning=5000 answer=5]]' }] };
    const body = { ...long, max_tokens: 9_000 };
    const blocker = post(agent.url, '/v1/generate', first, body, blocking.signal);
    await until(() => emulator.engine.load.waitingRequests === 2);
    emulator.engine.thaw();
    expect((await blocker).status).toBe(200);
    await until(() => emulator.engine.load.waitingRequests === 3);
    client.abort();
    await waiting.catch(() => {});
    await until(() => edge.receipts.some(({ request_id }) => request_id === jti));
    await until(() => emulator.engine.load.waitingRequests === 0);
    blocking.abort();
  });

  it.each<[Fault['kind'], Record<string, unknown>]>([
    ['split_bytes', {}],
    ['crlf', {}],
    ['no_done', {}],
    ['bytes_after_done', {}],
  ])('hides %s', async (kind, fault) => {
    const { edge, agent, emulator } = await setUp();
    const whole = await generate({ agent, edge }, { claims: { jti: 'req_000000000000000same0' } });
    emulator.faults.add({ kind, ...fault } as Fault);
    const answer = await generate({ agent, edge });
    expect([answer.done, answer.error]).toEqual([true, null]);
    expect(textOf(answer.chunks).length + textOf(answer.chunks, 'reasoning_content').length).toBeGreaterThan(
      0,
    );
    expect(whole.done).toBe(true);
  });

  it.each<[Fault['kind']]>([
    ['usage_missing'],
    ['usage_null'],
    ['usage_shrinking'],
    ['usage_negative'],
    ['usage_huge'],
  ])('stays within bounds under %s', async (kind) => {
    const { edge, agent, emulator, engineLog } = await setUp();
    emulator.faults.add({ kind } as Fault);
    const jti = requestId();
    const answer = await generate({ agent, edge }, { claims: { jti } });
    expect(answer.done).toBe(true);
    const counts = answer.chunks.map(({ usage }) => usage.completion_tokens);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(counts.at(-1)).toBeGreaterThan(0);
    expect(counts.at(-1)).toBeLessThanOrEqual(engineLog().get(jti)?.completionTokens ?? 0);
  });

  it.each<[Fault, number, string | undefined]>([
    [{ kind: 'reset_before_headers' }, 502, 'engine_failed'],
    [{ kind: 'empty_200' }, 502, 'engine_failed'],
    [{ kind: 'status_429', retryAfterSeconds: 3 }, 503, 'overloaded'],
    [{ kind: 'status_503' }, 503, 'overloaded'],
    [{ kind: 'queue_full_200' }, 503, 'overloaded'],
    [{ kind: 'error_500_after_work' }, 502, 'engine_failed'],
    [{ kind: 'html_200' }, 502, 'engine_failed'],
    [{ kind: 'hang' }, 504, 'engine_timeout'],
    [{ kind: 'die_mid_stream', afterTokens: 3 }, 200, 'engine_failed'],
    [{ kind: 'malformed_frame', afterTokens: 3 }, 200, 'engine_failed'],
  ])('turns %j into %i %s', async (fault, status, code) => {
    const { edge, agent, emulator } = await setUp({}, fault.kind === 'hang' ? { firstTokenMs: 200 } : {});
    emulator.faults.add(fault);
    const answer = await generate({ agent, edge });
    expect([answer.status, answer.error?.code, answer.done]).toEqual([status, code, false]);
    await until(() => edge.receipts[0]?.outcome === 'failed');
  });

  it('gives a JSON answer as content although the parser called it reasoning', async () => {
    const { edge, agent, emulator } = await setUp();
    emulator.faults.add({ kind: 'answer_in_reasoning' });
    const body = { ...BODY, max_tokens: 1_000, response_format: { type: 'json_object' } };
    const answer = await generate({ agent, edge }, { body });
    expect(answer.done).toBe(true);
    expect(textOf(answer.chunks)).toMatch(/\}\s*$/);
    // Text that did not look like JSON was passed on as it came.
    expect(textOf(answer.chunks, 'reasoning_content')).toBe(textOf(answer.chunks));
  });

  it.each([false, true])(
    'records an aborted request exactly (engine ignoring the abort: %s)',
    async (ignoresAbort) => {
      const { edge, agent, emulator, engineLog } = await setUp({ speed: 1 });
      if (ignoresAbort) emulator.faults.add({ kind: 'ignore_abort' });
      const jti = requestId();
      const token = await edge.sign({ jti });
      const response = await post(agent.url, '/v1/generate', token, { ...BODY, max_tokens: 500 });
      await new Promise((resolve) => setTimeout(resolve, 200));
      await post(agent.url, '/v1/abort', token, {});
      const answer = await read(response);
      expect(answer.done).toBe(true);
      const receipt = await until(() => edge.receipts[0]);
      expect(receipt).toMatchObject({ outcome: 'aborted', usage: answer.chunks.at(-1)?.usage });
      if (!ignoresAbort) {
        await until(() => engineLog().get(jti)?.completionTokens === receipt.usage.completion_tokens);
        expect(engineLog().get(jti)?.finish).toBe('abort');
      }
    },
  );
});
