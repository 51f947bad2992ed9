/**
 * The model's published context at the agent: a prompt past it is counted by the engine's tokenizer and refused before any
 * work. The engine's own log shows what it worked on.
 */
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { contextTooShort } from '../../../gpu-pool/agent/context-window.ts';
import { type EngineSettings, roomTokens } from '../../../gpu-pool/agent/sglang/probe.ts';
import { readEngineLog } from '../../../gpu-pool/emulator/log.ts';
import { startEmulator } from '../../../gpu-pool/emulator/server.ts';
import type { EmulatorOptions } from '../../../gpu-pool/emulator/state.ts';
import { renderChat } from '../../../gpu-pool/emulator/tokenizer.ts';
import { CONTEXT_RESERVE } from '../../../gpu-pool/protocol/constants.ts';
import { FakeEdge, requestId } from './fake-edge.ts';
import { BODY, generate, SALT, setUp, startTestAgent, tempDir, textOf, until } from './helpers.ts';
import { answerEvents, event, ScriptedEngine, sse, usage } from './scripted-engine.ts';

const PARSES = { reasoningParser: 'deepseek-r1', priorities: { enabled: true } };

async function setUpEmulator(options: Partial<EmulatorOptions> = {}) {
  const [edge, stateDir] = await Promise.all([FakeEdge.start(), tempDir()]);
  const log = join(stateDir, 'engine.jsonl');
  const engine = { profile: '8xh200', log, cacheReport: true, maxQueuedRequests: 256 } as const;
  const emulator = await startEmulator({ ...engine, ...PARSES, ...options });
  onTestFinished(() => emulator.close());
  const agent = await startTestAgent({ engineUrl: emulator.url, edgeUrl: edge.url, stateDir });
  return { edge, emulator, agent, engineLog: () => readEngineLog(log) };
}

/** A conversation of exactly so many tokens. */
function promptOf(tokens: number) {
  const most = (words: number) => [{ role: 'user', content: 'a '.repeat(words) }];
  const extra = renderChat(most(0), { reasoning: true }).length;
  return most(tokens - extra);
}
const bodyOf = (tokens: number, more: object = {}) => ({
  messages: promptOf(tokens),
  max_tokens: 20,
  cache_salt: SALT,
  ...more,
});
const CONTEXT = { context_tokens: 2_000, prompt_tokens_max: 9_999 };

describe('a prompt past the published context', () => {
  it('is refused with both counts before the engine works, and leaves a receipt of nothing', async () => {
    const { edge, agent, emulator, engineLog } = await setUpEmulator();
    const jti = requestId();
    const refused = await generate({ agent, edge }, { body: bodyOf(2_001), claims: { jti, ...CONTEXT } });
    expect(refused.status).toBe(400);
    expect(refused.error).toMatchObject({
      code: 'bad_request',
      message: 'The prompt has 2001 tokens and may have 2000.',
      context: { prompt_tokens: 2_001, context_tokens: 2_000 },
    });
    expect(engineLog().get(jti)).toBeUndefined();
    expect(emulator.requests).toEqual([]);
    const receipt = await until(() => edge.receipts.find(({ request_id }) => request_id === jti));
    expect(receipt).toMatchObject({ outcome: 'failed', usage: { prompt_tokens: 0, completion_tokens: 0 } });
  });

  it('is served to its last token, and counted as the engine logs it', async () => {
    const { edge, agent, engineLog } = await setUpEmulator();
    const jti = requestId();
    const served = await generate({ agent, edge }, { body: bodyOf(2_000), claims: { jti, ...CONTEXT } });
    expect([served.status, served.done]).toEqual([200, true]);
    expect(served.chunks.at(-1)?.usage.prompt_tokens).toBe(2_000);
    expect(engineLog().get(jti)).toMatchObject({ promptTokens: 2_000 });
  });

  it('is counted with its tools as the engine renders them, and as a text', async () => {
    const { edge, agent } = await setUpEmulator();
    const tools = [{ type: 'function', function: { name: 'f', parameters: { enum: Array(900).fill(1) } } }];
    const withTools = await generate({ agent, edge }, { body: bodyOf(900, { tools }), claims: CONTEXT });
    expect(withTools.error?.context?.prompt_tokens).toBeGreaterThan(900 + 2 * 900);
    const text = { prompt: 'a '.repeat(2_500), max_tokens: 20, cache_salt: SALT };
    const asText = await generate({ agent, edge }, { body: text, claims: CONTEXT });
    expect(asText.error?.context).toEqual({ prompt_tokens: 2_501, context_tokens: 2_000 });
  });

  it('is not counted first where its bytes show that it fits, nor for an edge that names no context', async () => {
    const { edge, agent, engine } = await setUp();
    const paths = () => engine.calls.map(({ req }) => req.url);
    await generate({ agent, edge }, { claims: { context_tokens: 2_000, prompt_tokens_max: 2_000 } });
    await generate({ agent, edge });
    expect(paths()).toEqual(Array(2).fill('/v1/chat/completions'));
    await generate({ agent, edge }, { claims: CONTEXT });
    expect(paths()).toContain('/tokenize');
  });

  it('is refused at the first usage where the engine cannot count, and the engine stops', async () => {
    const { edge, agent, engine } = await setUp();
    engine.onChat = ({ req, res }) => {
      if (req.url === '/tokenize') return void res.writeHead(404).end('{}');
      const counts = { ...usage(1), prompt_tokens: 2_001 };
      sse(res, [event({ content: 'secret', usage: counts })], { end: false });
    };
    const refused = await generate({ agent, edge }, { claims: CONTEXT });
    expect(refused.status).toBe(400);
    expect(refused.error?.context).toEqual({ prompt_tokens: 2_001, context_tokens: 2_000 });
    expect(textOf(refused.chunks)).toBe('');
    await until(() => engine.aborts.length > 0);
    // The receipt has what the engine did: the edge writes it off.
    await until(() => edge.receipts[0]?.usage.prompt_tokens === 2_001);
  });
});

describe('an answer', () => {
  it('ends where the engine’s context does, instead of being refused', async () => {
    const { edge, agent, emulator } = await setUpEmulator({ contextLength: 3_000 });
    const claims = { max_tokens: 5_000, ...CONTEXT };
    const body = bodyOf(1_900, { max_tokens: 5_000 });
    const served = await generate({ agent, edge }, { body, claims });
    expect([served.status, served.done]).toEqual([200, true]);
    expect(emulator.requests.at(-1)?.body).toMatchObject({ max_tokens: 3_000 - CONTEXT_RESERVE - 1_900 });
  });

  it('of an engine that runs past max_tokens is cut, and the receipt names the rest', async () => {
    const { edge, agent, engine } = await setUp();
    engine.onChat = ({ res }) =>
      sse(
        res,
        [1, 2, 5].map((count) => event({ content: 'x', usage: usage(count) })),
        { end: false },
      );
    await generate({ agent, edge }, { claims: { max_tokens: 3 } });
    const receipt = await until(() => edge.receipts[0]);
    expect(receipt).toMatchObject({ usage: { completion_tokens: 3 }, overrun_tokens: 2 });
  });

  it('of the right length has a receipt without a rest', async () => {
    const { edge, agent, engine } = await setUp();
    engine.onChat = ({ res }) => sse(res, [...answerEvents(['a', 'b']), '[DONE]']);
    await generate({ agent, edge }, { body: BODY });
    expect(await until(() => edge.receipts[0])).not.toHaveProperty('overrun_tokens');
  });
});

describe('an engine', () => {
  it('whose own context is too short for what is sold becomes unfit at the first request that names it', async () => {
    const { edge, agent, engine, logs } = await setUp();
    engine.settings.context_length = 2_000;
    engine.onChat = ({ req, res }) =>
      req.url === '/tokenize'
        ? void res.end('{"tokens":[1,2],"count":2,"max_model_len":2000}')
        : sse(res, [...answerEvents(['a']), '[DONE]']);
    await generate({ agent, edge }, { claims: CONTEXT });
    await until(() => edge.heartbeats.at(-1)?.engine.healthy === false);
    expect(logs.join()).toMatch(/engine_unfit.*--context-length of more than 2064/);
    engine.settings.context_length = 4_000;
    await until(() => edge.heartbeats.at(-1)?.engine.healthy === true);
  });

  it.each<[string, Record<string, unknown>, number, string]>([
    [
      'context',
      { context_length: 2_064, max_req_input_len: 2_058 },
      1_999,
      'a --context-length of more than 2064',
    ],
    [
      'KV cache',
      { context_length: 163_840, max_total_num_tokens: 1_500, max_req_input_len: 1_494 },
      1_435,
      'has a KV cache of 1500 tokens: start SGLang with a higher --mem-fraction-static',
    ],
    ['model', { context_length: null, max_req_input_len: 1_000 }, 941, 'has a context of 1006'],
  ])(
    'whose %s is too short refuses requests for what is sold as its own failure',
    async (_, settings, longest, advice) => {
      const { edge, agent, engine, logs } = await setUp();
      Object.assign(engine.settings, settings);
      // The engine is inspected again when a request names what is sold; the next request finds it unfit.
      await generate({ agent, edge }, { claims: CONTEXT });
      await until(() => edge.heartbeats.at(-1)?.engine.healthy === false);
      expect(logs.join()).toContain(advice);
      expect(
        contextTooShort(roomTokens(engine.settings as EngineSettings), { context_tokens: 2_000 }),
      ).toMatchObject({
        code: 'engine_failed',
        context: { prompt_tokens: 2_000, context_tokens: longest },
      });
    },
  );

  it('that was started with too short a context refuses the first request that names what is sold', async () => {
    const engine = await ScriptedEngine.start();
    const [edge, stateDir] = await Promise.all([FakeEdge.start(), tempDir()]);
    Object.assign(engine.settings, { max_total_num_tokens: 1_500, max_req_input_len: 1_494 });
    const agent = await startTestAgent({ engineUrl: engine.url, edgeUrl: edge.url, stateDir });
    const { status, error } = await generate({ agent, edge }, { claims: CONTEXT });
    expect([status, error?.context]).toEqual([502, { prompt_tokens: 2_000, context_tokens: 1_435 }]);
    expect(engine.calls).toEqual([]);
  });
});
