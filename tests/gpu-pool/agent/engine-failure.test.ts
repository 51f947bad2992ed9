/** Failures of the engine before and after the first token, and the errors and receipts that follow. */
import { describe, expect, it } from 'vitest';
import { BODY, generate, setUp, textOf, until } from './helpers.ts';
import { answerEvents, type ChatCall, event, sse, total, usage } from './scripted-engine.ts';

const flat = (code: number, message = 'quotes "a private prompt"') => ({
  object: 'error',
  message,
  type: 'BadRequest',
  param: null,
  code,
});
const json =
  (status: number, body: unknown, headers = {}) =>
  ({ res }: ChatCall) => {
    res.writeHead(status, { 'content-type': 'application/json', ...headers });
    res.end(JSON.stringify(body));
  };

const FUNCTION = { name: 'f', arguments: '{}' };
const CALL = { id: 'c', type: 'function', function: FUNCTION };
const TOOL = { type: 'function', function: { name: 'f', parameters: {} } };
const STRICT = { type: 'function', function: { name: 'f', parameters: {}, strict: true } };
const FORMAT = { type: 'json_schema', json_schema: { name: 'a', schema: {} } };

/** Words that any matcher knows, the engine's own phrases among them, as a client can write them. */
const WORDS = [
  'overloaded',
  'The request queue is full.',
  'too many requests',
  'Service unavailable. 503 429 500 code: 503',
  'context length exceeds the model',
  'grammar schema response_format regex tool',
  'Internal server error: CUDA error',
  'unauthorized engine_failed engine_timeout bad_request',
];

describe('words of a client that the engine quotes', () => {
  const errors: [string, (call: ChatCall, message: string) => void, number, string][] = [
    ['400', (call, message) => json(400, flat(400, message))(call), 400, 'bad_request'],
    ['413', (call, message) => json(413, { detail: message })(call), 400, 'bad_request'],
    ['418', (call, message) => json(418, { message, code: 503, type: message })(call), 400, 'bad_request'],
    ['422', (call, message) => json(422, { error: { message, code: 503 } })(call), 400, 'bad_request'],
    ['500', (call, message) => json(500, flat(503, message))(call), 502, 'engine_failed'],
    ['503', (call, message) => json(503, flat(400, message))(call), 503, 'overloaded'],
    [
      'an event with 400',
      ({ res }, message) => sse(res, [{ error: { message, type: message, code: 400 } }, '[DONE]']),
      400,
      'bad_request',
    ],
    [
      'an event with 500',
      ({ res }, message) => sse(res, [{ error: { message, type: message, code: 500 } }, '[DONE]']),
      502,
      'engine_failed',
    ],
    [
      'an event whose code is a text',
      ({ res }, message) => sse(res, [{ error: { message, code: '503' } }, '[DONE]']),
      502,
      'engine_failed',
    ],
  ];

  it.each(errors)('decide nothing about %s', async (_, fail, status, code) => {
    const { agent, edge, engine } = await setUp();
    const answers = new Set<string>();
    for (const word of WORDS) {
      engine.onChat = (call) => fail(call, `Tool '${word}' not found in tools list.`);
      const answer = await generate({ agent, edge });
      expect([answer.status, answer.error?.code]).toEqual([status, code]);
      answers.add(answer.error?.message ?? '');
    }
    expect(answers.size).toBe(1);
  });
});

describe('before the first token', () => {
  it.each<[string, (call: ChatCall) => void, number, string]>([
    ['400', json(400, flat(400)), 400, 'bad_request'],
    ['429', json(429, flat(429)), 503, 'overloaded'],
    ['503', json(503, flat(503)), 503, 'overloaded'],
    ['500', json(500, flat(500)), 502, 'engine_failed'],
    ['401', json(401, { error: 'Unauthorized' }), 502, 'engine_failed'],
    [
      'a redirect',
      ({ res }) => res.writeHead(302, { location: 'http://169.254.169.254/' }).end(),
      502,
      'engine_failed',
    ],
    [
      'a full queue as 200',
      ({ res }) =>
        sse(res, [
          { error: { message: 'The request queue is full.', type: 'SERVICE_UNAVAILABLE', code: 503 } },
          '[DONE]',
        ]),
      503,
      'overloaded',
    ],
    [
      'an error event',
      ({ res }) => sse(res, [{ error: { message: 'oom', code: 500 } }, '[DONE]']),
      502,
      'engine_failed',
    ],
    [
      'a role, then a full queue',
      ({ res }) =>
        sse(res, [
          event({ role: 'assistant', content: '' }),
          { error: { message: 'x', code: 503 } },
          '[DONE]',
        ]),
      503,
      'overloaded',
    ],
    [
      'HTML',
      ({ res }) => res.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      502,
      'engine_failed',
    ],
    ['HTML called events', ({ res }) => sse(res, ['<html></html>']), 502, 'engine_failed'],
    ['an empty 200', ({ res }) => sse(res, []), 502, 'engine_failed'],
    ['[DONE] alone', ({ res }) => sse(res, ['[DONE]']), 502, 'engine_failed'],
    ['a reset', ({ req }) => req.socket.destroy(), 502, 'engine_failed'],
    [
      'a reset after 200',
      ({ res }) => {
        sse(res, [], { end: false });
        setTimeout(() => res.destroy(), 20);
      },
      502,
      'engine_failed',
    ],
    [
      'an abort nobody asked for',
      ({ res }) => sse(res, [event({ finish: 'abort' }), total(usage(0)), '[DONE]']),
      502,
      'engine_failed',
    ],
  ])('%s becomes an error, with a failed receipt', async (_, onChat, status, code) => {
    const { agent, edge, engine, logs } = await setUp();
    engine.onChat = onChat;
    const answer = await generate({ agent, edge });
    expect([answer.status, answer.error?.code]).toEqual([status, code]);
    expect(answer.text).not.toContain('private');
    await until(() => edge.receipts.length === 1);
    expect(edge.receipts[0]).toMatchObject({
      outcome: 'failed',
      ttft_ms: null,
      usage: { completion_tokens: 0 },
    });
    expect(logs.join()).not.toContain('private');
  });

  it.each([
    [
      {},
      /^check that the prompt and max_tokens together fit the model’s context length, and that the messages come/,
    ],
    // Calls of a tool that is not strict are held to no grammar, and the edge has checked its schema.
    [{ tools: [TOOL] }, /^(?!.*`tools`)/],
    [{ tools: [STRICT] }, /and that the schemas of `tools` use/],
    [{ response_format: FORMAT }, /and that the schemas of the answer’s format use/],
    [{ tools: [STRICT], response_format: FORMAT }, /the schemas of `tools` and of the answer’s format use/],
    [{ messages: [{ role: 'assistant', content: null, tool_calls: [CALL] }] }, /^(?!.*arguments)/],
  ])('says what to check when the engine refuses a request', async (more, message) => {
    const { agent, edge, engine } = await setUp();
    engine.onChat = json(400, flat(400));
    const answer = await generate({ agent, edge }, { body: { ...BODY, ...more } });
    expect([answer.status, answer.error?.message]).toEqual([400, expect.stringMatching(message)]);
  });

  it('inspects an engine that no longer accepts the key, and leaves the edge to choose another node', async () => {
    const { agent, edge, engine } = await setUp();
    engine.onChat = json(401, { error: 'Unauthorized' });
    engine.settingsStatus = 401;
    expect((await generate({ agent, edge })).error?.code).toBe('engine_failed');
    await until(() => edge.heartbeats.at(-1)?.engine.healthy === false);
  });

  it.each([
    ['7', '7'],
    ['0', null],
    ['99999', null],
    ['Fri, 31 Dec 1999 23:59:59 GMT', null],
  ])('passes Retry-After %s on as %s', async (sent, passed) => {
    const { agent, edge, engine } = await setUp();
    engine.onChat = json(429, flat(429), { 'retry-after': sent });
    expect((await generate({ agent, edge })).headers.get('retry-after')).toBe(passed);
  });

  it.each<[string, (call: ChatCall) => void]>([
    ['no head', () => {}],
    ['no event', ({ res }) => sse(res, [], { end: false })],
    ['only a role', ({ res }) => sse(res, [event({ role: 'assistant', content: '' })], { end: false })],
  ])('gives up at the deadline when %s comes, and aborts', async (_, onChat) => {
    const { agent, edge, engine } = await setUp({ deadlines: { firstTokenMs: 100 } });
    engine.onChat = onChat;
    const answer = await generate({ agent, edge });
    expect([answer.status, answer.error?.code]).toEqual([504, 'engine_timeout']);
    await until(() => engine.aborts.length > 0);
  });
});

describe('after the first token', () => {
  const begun = [event({ content: 'a', usage: usage(1) }), event({ content: 'b', usage: usage(2) })];

  it.each<[string, (call: ChatCall) => void, string]>([
    [
      'dies',
      ({ res }) => {
        sse(res, begun, { end: false });
        setTimeout(() => res.destroy(), 50);
      },
      'engine_failed',
    ],
    ['ends early', ({ res }) => sse(res, begun), 'engine_failed'],
    ['says [DONE] early', ({ res }) => sse(res, [...begun, '[DONE]']), 'engine_failed'],
    [
      'sends a malformed frame',
      ({ res }) => sse(res, [...begun, '{"choices": [{'], { end: false }),
      'engine_failed',
    ],
    [
      'sends no SSE',
      ({ res }) => {
        sse(res, begun, { end: false });
        res.write('oops: what\n\n');
      },
      'engine_failed',
    ],
    [
      'sends an error event',
      ({ res }) => sse(res, [...begun, { error: { message: 'private', code: 500 } }, '[DONE]']),
      'engine_failed',
    ],
    [
      'sends an endless line',
      ({ res }) => {
        sse(res, begun, { end: false });
        res.write(`data: ${'x'.repeat(2 << 20)}`);
      },
      'engine_failed',
    ],
    [
      'sends an endless line of no field',
      ({ res }) => {
        sse(res, begun, { end: false });
        res.write('x'.repeat(2 << 20));
      },
      'engine_failed',
    ],
    ['hangs', ({ res }) => sse(res, begun, { end: false }), 'engine_timeout'],
    [
      'trickles bytes without a token',
      ({ res }) => {
        sse(res, begun, { end: false });
        const timer = setInterval(() => res.write(': ping\n\n'), 20);
        res.on('close', () => clearInterval(timer));
      },
      'engine_timeout',
    ],
    [
      'aborts by itself',
      ({ res }) => sse(res, [...begun, event({ finish: 'abort' }), total(usage(2)), '[DONE]']),
      'engine_failed',
    ],
  ])('an engine that %s ends in an error event without [DONE]', async (_, onChat, code) => {
    const deadlines = code === 'engine_timeout' ? { idleMs: 200 } : {};
    const { agent, edge, engine } = await setUp({ deadlines });
    engine.onChat = onChat;
    const answer = await generate({ agent, edge });
    expect(answer.status).toBe(200);
    expect(textOf(answer.chunks)).toBe('ab');
    expect([answer.error?.code, answer.done]).toEqual([code, false]);
    expect(answer.text).not.toContain('private');
    await until(() => edge.receipts.length === 1 && engine.aborts.length > 0);
    expect(edge.receipts[0]).toMatchObject({
      outcome: 'failed',
      usage: { completion_tokens: 2, prompt_tokens: 12 },
    });
    expect(edge.receipts[0]?.ttft_ms).toBeGreaterThanOrEqual(0);
  });

  it.each<[string, unknown[], boolean]>([
    ['without [DONE]', answerEvents(['a', 'b']), true],
    [
      'with bytes after [DONE]',
      [...answerEvents(['a', 'b']), '[DONE]', event({ content: 'c', usage: usage(9) }), 'junk'],
      true,
    ],
    ['that keeps its socket open after [DONE]', [...answerEvents(['a', 'b']), '[DONE]'], false],
  ])('an answer %s is complete', async (_, events, end) => {
    const { agent, edge, engine } = await setUp();
    engine.onChat = ({ res }) => sse(res, events, { end });
    const answer = await generate({ agent, edge });
    expect([answer.done, answer.error, textOf(answer.chunks)]).toEqual([true, null, 'ab']);
    await until(() => edge.receipts.length === 1);
    expect(edge.receipts[0]).toMatchObject({
      outcome: 'finished',
      usage: { prompt_tokens: 12, cached_tokens: 4, completion_tokens: 2, reasoning_tokens: 0 },
    });
  });

  it('stops an engine that runs past the claim, with finish_reason length', async () => {
    const { agent, edge, engine } = await setUp();
    engine.onChat = ({ res }) =>
      sse(
        res,
        [1, 2, 3, 4, 5].map((count) => event({ content: `${count}`, usage: usage(count) })),
        { end: false },
      );
    const answer = await generate({ agent, edge }, { claims: { max_tokens: 3 } });
    expect([answer.done, textOf(answer.chunks)]).toEqual([true, '123']);
    expect(answer.chunks.at(-1)).toMatchObject({
      choices: [{ index: 0, finish_reason: 'length' }],
      usage: { completion_tokens: 3 },
    });
    await until(() => engine.aborts.length > 0 && edge.receipts[0]?.usage.completion_tokens === 3);
  });

  it('counts usage anomalies in /metrics', async () => {
    const { agent, edge, engine } = await setUp();
    engine.onChat = ({ res }) =>
      sse(res, [
        event({ content: 'a', usage: usage(4) }),
        event({ content: 'b', usage: usage(-1) }),
        event({ finish: 'stop' }),
        '[DONE]',
      ]);
    expect((await generate({ agent, edge })).chunks.at(-1)?.usage.completion_tokens).toBe(4);
    const metrics = await (await fetch(`${agent.metricsUrl}/metrics`)).text();
    expect(metrics).toContain('tollgate_agent_usage_anomalies_total{kind="invalid"} 1');
    expect(metrics).toContain('tollgate_agent_requests_total{outcome="finished"} 1');
    expect(metrics).toContain('tollgate_agent_tokens_total{kind="completion"} 4');
    expect(metrics).toContain('tollgate_agent_in_flight 0');
  });
});
