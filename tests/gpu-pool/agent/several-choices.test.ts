/**
 * The cached part of a prompt is billed as it was before a request of several choices. SGLang passes over the prompt before them and then
 * reports all of it as cached, so the agent makes a pass of its own and takes the count from there.
 */
import { describe, expect, it } from 'vitest';
import type { AgentOptions } from '../../../gpu-pool/agent/options.ts';
import type { Fault } from '../../../gpu-pool/emulator/faults.ts';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';
import { FakeEdge, requestId } from './fake-edge.ts';
import {
  BODY,
  generate,
  post,
  setUp as startScripted,
  startTestAgent,
  startTestEmulator,
  tempDir,
  until,
} from './helpers.ts';
import { answerEvents, sendPromptPass, sse, usage } from './scripted-engine.ts';

async function setUp(options: Partial<EmulatorOptions> = {}, deadlines: AgentOptions['deadlines'] = {}) {
  const [edge, stateDir] = await Promise.all([FakeEdge.start(), tempDir()]);
  const emulator = await startTestEmulator({ toolCallParser: 'deepseekv3', pageTokens: 1, ...options });
  const agent = await startTestAgent({ engineUrl: emulator.url, edgeUrl: edge.url, stateDir, deadlines });
  const ask = async (body: unknown) => {
    const jti = requestId();
    const answer = await generate({ agent, edge }, { body, claims: { jti } });
    const receipt = await until(() => edge.receipts.find(({ request_id }) => request_id === jti));
    return { answer, receipt };
  };
  return { edge, emulator, agent, ask };
}

const { messages, ...REST } = BODY;
const WEATHER = {
  type: 'function',
  function: { name: 'get_weather', parameters: { type: 'object', properties: {} } },
};
const SHORT = { ...REST, max_tokens: 6 };

describe('several choices', () => {
  it.each<[string, Record<string, unknown>]>([
    ['messages', { ...SHORT, messages }],
    ['messages with tools', { ...SHORT, messages, tools: [WEATHER] }],
    ['a text', { ...SHORT, prompt: 'Once upon a time' }],
    ['a line of a batch', { ...SHORT, messages, background: true }],
  ])('of %s cost the fresh price first and the cached one the second time', async (_, body) => {
    const { ask } = await setUp();
    const first = await ask({ ...body, n: 3 });
    expect(first.answer.done).toBe(true);
    expect(first.receipt.usage).toMatchObject({ cached_tokens: 0, completion_tokens: 18 });
    for (const { usage: counted } of first.answer.chunks) expect(counted.cached_tokens).toBe(0);
    expect(first.answer.chunks.at(-1)?.usage).toEqual(first.receipt.usage);
    const second = await ask({ ...body, n: 3 });
    const { prompt_tokens: prompt } = first.receipt.usage;
    expect(prompt).toBeGreaterThan(1);
    expect(second.receipt.usage).toMatchObject({ prompt_tokens: prompt, cached_tokens: prompt - 1 });
    // One choice counts the same prompt.
    const single = await ask({ ...body, n: 1 });
    expect(single.receipt.usage.prompt_tokens).toBe(prompt);
  });

  it('count whole pages of the cache', async () => {
    const { ask } = await setUp({ pageTokens: 8 });
    const shared = 'one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen';
    const of = (last: string) => ({ ...SHORT, prompt: `${shared} ${last}`, n: 2 });
    expect((await ask(of('a b c d e f g h i j k l'))).receipt.usage.cached_tokens).toBe(0);
    const { cached_tokens: cached, prompt_tokens: prompt } = (await ask(of('z y x w v u t s r q p o')))
      .receipt.usage;
    expect(cached % 8).toBe(0);
    expect(cached).toBeGreaterThan(0);
    expect(cached).toBeLessThan(prompt - 8);
  });

  it('ask the engine for the same prompt twice, with nothing but the choices and the ids apart', async () => {
    const { ask, emulator } = await setUp();
    const { receipt } = await ask({ ...SHORT, messages, n: 3, seed: 7 });
    const [pass, asked] = emulator.requests.map(({ body }) => body as Record<string, unknown>);
    const { rid, stream, stream_options, n, max_tokens, ...same } = asked!;
    expect(pass).toEqual({ ...same, rid: `prompt-${rid}`, stream: false, n: 1, max_tokens: 1 });
    expect([rid, n, max_tokens]).toEqual([receipt.request_id, 3, 6]);
    expect(emulator.requests).toHaveLength(2);
  });

  it.each<[string, unknown, number]>([
    ['nothing', { ...usage(1), prompt_tokens_details: null }, 0],
    ['five tokens', usage(1, { cached: 5 }), 5],
    ['more than the prompt', usage(1, { cached: 50 }), 12],
    ['a negative count', usage(1, { cached: -1 }), 0],
    ['no counts at all', undefined, 0],
  ])('bill what the pass reported as cached: %s', async (_, counts, cached) => {
    const { agent, edge, engine } = await startScripted();
    engine.onChat = ({ body, res }) => {
      if (body.stream) sse(res, [...answerEvents(['a']), ...answerEvents(['b']).map(ofSecond), '[DONE]']);
      else sendPromptPass(res, counts);
    };
    const answer = await generate({ agent, edge }, { body: { ...BODY, n: 2 } });
    expect(answer.done).toBe(true);
    expect(answer.chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: 12, cached_tokens: cached });
  });
});

/** An event of the second choice. */
function ofSecond(event: unknown): unknown {
  const { choices, ...rest } = event as { choices: object[] };
  return { ...rest, choices: choices.map((choice) => ({ ...choice, index: 1 })) };
}

describe('while the engine passes over the prompt', () => {
  it.each(['the client leaves', 'the edge aborts'])('%s: it stops, and nothing is billed', async (how) => {
    // An abort that reached nothing would leave it waiting until this grace has passed.
    const { edge, emulator, agent } = await setUp(
      { speed: 1, override: { maxRunningRequests: 1 } },
      { abortGraceMs: 600_000 },
    );
    const blocking = new AbortController();
    const long = { ...BODY, messages: [{ role: 'user', content: '[[reasoning=50000 answer=5]]' }] };
    const claims = { max_tokens: 60_000 };
    await post(agent.url, '/v1/generate', await edge.sign(claims), { ...long, ...claims }, blocking.signal);
    const client = new AbortController();
    const jti = requestId();
    const headers = await edge.sign({ jti });
    const waiting = post(agent.url, '/v1/generate', headers, { ...BODY, n: 3 }, client.signal);
    await until(() => emulator.engine.load.waitingRequests === 1);
    if (how === 'the client leaves') client.abort();
    else await post(agent.url, '/v1/abort', headers, {});
    await waiting.catch(() => null);
    const receipt = await until(() => edge.receipts.find(({ request_id }) => request_id === jti));
    expect(receipt).toMatchObject({
      outcome: 'aborted',
      usage: { prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0, reasoning_tokens: 0 },
    });
    expect(emulator.engine.load).toMatchObject({ runningRequests: 1, waitingRequests: 0 });
    expect(emulator.requests).toHaveLength(2);
    blocking.abort();
  });

  it.each<[Fault, number, string]>([
    [{ kind: 'status_503' }, 503, 'overloaded'],
    [{ kind: 'queue_full_200' }, 503, 'overloaded'],
    [{ kind: 'status_429', retryAfterSeconds: 3 }, 503, 'overloaded'],
    [{ kind: 'reset_before_headers' }, 502, 'engine_failed'],
    [{ kind: 'empty_200' }, 502, 'engine_failed'],
    [{ kind: 'error_500_after_work' }, 502, 'engine_failed'],
    [{ kind: 'html_200' }, 502, 'engine_failed'],
    [{ kind: 'hang' }, 504, 'engine_timeout'],
  ])('%j is %i %s, and the choices are not begun', async (fault, status, code) => {
    const { emulator, ask } = await setUp({}, fault.kind === 'hang' ? { firstTokenMs: 200 } : {});
    emulator.faults.add(fault);
    const { answer, receipt } = await ask({ ...BODY, n: 3 });
    expect([answer.status, answer.error?.code]).toEqual([status, code]);
    if (fault.kind === 'status_429') expect(answer.headers.get('retry-after')).toBe('3');
    expect(receipt).toMatchObject({
      outcome: 'failed',
      usage: { prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0 },
    });
    expect(emulator.requests).toHaveLength(1);
    expect(emulator.engine.load).toMatchObject({ runningRequests: 0, waitingRequests: 0 });
  });

  it('its end in an error gives its places in the queue back', async () => {
    // A second request of eight has to wait for the first one's places.
    const { emulator, ask } = await setUp({ maxQueuedRequests: 8 });
    emulator.faults.add({ kind: 'status_503', times: 1 });
    const both = await Promise.all([1, 2].map(() => ask({ ...SHORT, messages, n: 8 })));
    expect(both.map(({ answer }) => answer.status).sort()).toEqual([200, 503]);
  });

  it('a refusal says what to check, as that of the choices', async () => {
    const { agent, edge, engine } = await startScripted();
    engine.onChat = ({ res }) => res.writeHead(400).end();
    const answer = await generate({ agent, edge }, { body: { ...BODY, n: 2 } });
    expect([answer.status, answer.error?.code]).toEqual([400, 'bad_request']);
    expect(answer.error?.message).toContain('check that');
    expect(engine.calls).toHaveLength(1);
  });

  it('an engine that stops it has failed, and is asked for no choices', async () => {
    const { agent, edge, engine } = await startScripted();
    engine.onChat = ({ res }) => {
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ choices: [{ index: 0, finish_reason: 'abort' }], usage: usage(0) }));
    };
    const answer = await generate({ agent, edge }, { body: { ...BODY, n: 2 } });
    expect([answer.status, answer.error?.code]).toEqual([502, 'engine_failed']);
    expect(engine.calls).toHaveLength(1);
  });

  it('and before the choices begin, one deadline holds', async () => {
    const { agent, edge, engine } = await startScripted({ deadlines: { firstTokenMs: 1_000 } });
    // The choices are asked for when most of the time has passed, and would have answered within a whole deadline.
    engine.onChat = ({ body, res }) => {
      if (body.stream) setTimeout(() => sse(res, [...answerEvents(['a']), '[DONE]']), 800);
      else setTimeout(() => sendPromptPass(res), 700);
    };
    const answer = await generate({ agent, edge }, { body: { ...BODY, n: 2 } });
    expect([answer.status, answer.error?.code]).toEqual([504, 'engine_timeout']);
  });
});
