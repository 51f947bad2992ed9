/** Answers that leave the agent ready for the client: in its dialect, with marks for the edge, and no more than is paid for. */
import { describe, expect, it } from 'vitest';
import { endMembers, streamEnding } from '../../../gpu-pool/answers/formatters.ts';
import { MarkReader } from '../../../gpu-pool/answers/mark-reader.ts';
import { objectLine, withoutMarks } from '../../../gpu-pool/answers/marks.ts';
import { OutputItems } from '../../../gpu-pool/answers/output-items.ts';
import type { AnswerFormat } from '../../../gpu-pool/protocol/schemas.ts';
import { messageStreamFaults } from '../../shapes/anthropic-messages.ts';
import { completionFaults, streamFaults } from '../../shapes/openai-chat.ts';
import { responseStreamFaults } from '../../shapes/openai-responses.ts';
import { PRICE, plainFormats } from '../answers/any-answer.ts';
import { requestId } from './fake-edge.ts';
import { BODY, generate, post, setUp, type TestSetup, until } from './helpers.ts';
import { answerEvents, type ChatCall, event, sse, total, usage } from './scripted-engine.ts';

const [CHAT, , , RESPONSES] = plainFormats(true);
const [WHOLE_CHAT] = plainFormats(false);
/** Twelve tokens of prompt, of whose cache the engine says nothing before its end. */
const PROMPT_COST = 12 * PRICE.cache_miss;
const budget = (tokens: number) => ({ held_nano_usd: PROMPT_COST + tokens * PRICE.output, price: PRICE });

/** What has been read of a running answer. */
class Reading {
  text = '';
  readonly marks = new MarkReader();
  readonly ended: Promise<void>;

  constructor({ body }: Response) {
    this.ended = this.#read(body!);
    // A test that fails leaves its answer behind.
    this.ended.catch(() => undefined);
  }

  /** @throws when the agent breaks off */
  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    const utf8 = new TextDecoder();
    for await (const bytes of body) {
      this.marks.push(bytes);
      this.text += utf8.decode(bytes, { stream: true });
    }
  }
}

async function start(setup: TestSetup, body: object, jti = requestId(), signal?: AbortSignal) {
  const token = await setup.edge.sign({ jti });
  const response = await post(setup.agent.url, '/v1/generate', token, { ...BODY, ...body }, signal);
  const tell = async (path: string, said: object = {}) =>
    post(setup.agent.url, path, await setup.edge.sign({ jti }), said);
  return {
    response,
    reading: new Reading(response),
    extend: (heldNanoUsd: number) => tell('/v1/extend', { held_nano_usd: heldNanoUsd }),
    abort: () => tell('/v1/abort'),
    jti,
  };
}

/** An engine whose answer the test writes on. */
function written(setup: TestSetup): { call: Promise<ChatCall> } {
  const { promise, resolve } = Promise.withResolvers<ChatCall>();
  setup.engine.onChat = resolve;
  return { call: promise };
}

const token = (content: string, count: number) => event({ content, usage: usage(count) });

describe('an answer in the client’s dialect', () => {
  it.each(plainFormats(true))('is events, which the edge only ends: $dialect', async (format) => {
    const setup = await setUp();
    const { response, reading } = await start(setup, { answer: format });
    await reading.ended;
    expect(response.status).toBe(200);
    expect(response.headers.get('tollgate-answer')).toBe('1');
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const { last, end } = reading.marks;
    const counts = { prompt_tokens: 12, cached_tokens: 4, completion_tokens: 2, reasoning_tokens: 0 };
    expect([last!.usage, last!.waiting]).toEqual([counts, null]);
    expect(end).toMatchObject({ ended: 'finished', generated: counts });
    const output = new OutputItems();
    output.take(reading.text);
    const known = { usage: counts, chargeNanoUsd: 77, ranOut: null };
    const text = withoutMarks(reading.text) + streamEnding(format).end(known, end!.tail, output.items);
    expect(SHAPES[format.dialect](text)).toEqual([]);
    expect(text).toContain('Hello');
    expect(text).toContain(' world');
  });

  it('is one object, which the edge completes', async () => {
    const setup = await setUp();
    const { response, reading } = await start(setup, { answer: WHOLE_CHAT });
    await reading.ended;
    expect(response.headers.get('tollgate-answer')).toBe('1');
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    const lines = reading.text.trimEnd().split('\n');
    expect(lines.map((line) => line.slice(0, 4))).toEqual([': u ', '{"id', ': u ', ': en']);
    const known = { usage: reading.marks.last!.usage, chargeNanoUsd: 77, ranOut: null };
    const object = { ...JSON.parse(objectLine(reading.text)!), ...endMembers(WHOLE_CHAT!, known) };
    expect(completionFaults(object)).toEqual([]);
    expect(object.choices[0].message.content).toBe('Hello world');
  });

  it('asks nothing else of the engine, which learns neither form nor money', async () => {
    const setup = await setUp();
    await generate(setup, { body: BODY });
    await (await start(setup, { answer: RESPONSES, budget: budget(100) })).reading.ended;
    const [plain, ready] = setup.engine.calls.map(({ body: { rid, ...body } }) => body);
    expect(ready).toEqual(plain);
  });

  it('is refused in a form that the protocol does not know', async () => {
    const setup = await setUp();
    const { status, error } = await generate(setup, { body: { ...BODY, answer: { dialect: 'telex' } } });
    expect([status, error?.code]).toEqual([400, 'bad_request']);
    expect(setup.engine.calls).toEqual([]);
  });
});

const SHAPES: Record<AnswerFormat['dialect'], (text: string) => unknown[]> = {
  chat: streamFaults,
  completions: (text) => (text.endsWith('data: [DONE]\n\n') ? [] : ['no end']),
  messages: messageStreamFaults,
  responses: responseStreamFaults,
};

describe('a failure', () => {
  it.each([...plainFormats(true), ...plainFormats(false)])(
    'is an HTTP status before the first token: $dialect, streamed: $stream',
    async (format) => {
      const setup = await setUp();
      setup.engine.onChat = ({ res }) => sse(res, [event({ role: 'assistant', content: '' })]);
      const { status, error, headers } = await generate(setup, { body: { ...BODY, answer: format } });
      expect([status, error?.code]).toEqual([502, 'engine_failed']);
      expect(headers.get('tollgate-answer')).toBeNull();
    },
  );

  it.each([...plainFormats(true), ...plainFormats(false)])(
    'is the last line behind it, with what had left: $dialect, streamed: $stream',
    async (format) => {
      const setup = await setUp();
      setup.engine.onChat = ({ res }) => sse(res, [token('Hello', 1)]);
      const { reading, response } = await start(setup, { answer: format });
      await reading.ended;
      expect(response.status).toBe(200);
      expect(reading.marks.last).toMatchObject({ usage: { completion_tokens: 1 } });
      expect(reading.marks.end).toMatchObject({ ended: 'failed', error: { code: 'engine_failed' } });
      expect(objectLine(reading.text)).toBeNull();
    },
  );
});

describe('an answer that the held money does not pay for', () => {
  it('leaves as far as it does, waits, and goes on once more is held', async () => {
    const setup = await setUp();
    setup.engine.onChat = ({ res }) => sse(res, [...answerEvents(['One', ' two', ' three']), '[DONE]']);
    const { reading, extend } = await start(setup, { answer: CHAT, budget: budget(1) });
    await until(() => reading.marks.last?.waiting === 2);
    expect(reading.marks.last!.usage).toMatchObject({ prompt_tokens: 12, completion_tokens: 1 });
    expect(reading.text).toContain('One');
    expect(reading.text).not.toContain('two');

    const kept = await extend(budget(2).held_nano_usd);
    expect([kept.status, await kept.json()]).toEqual([200, { held_nano_usd: budget(2).held_nano_usd }]);
    await until(() => reading.marks.last?.waiting === 3);
    expect(reading.text).toContain(' two');
    expect(reading.text).not.toContain('three');
    // No hold is smaller than what has left.
    expect(await (await extend(0)).json()).toEqual({ held_nano_usd: budget(2).held_nano_usd });

    await extend(budget(9).held_nano_usd);
    await reading.ended;
    expect(reading.text).toContain(' three');
    expect(reading.marks.end).toMatchObject({ ended: 'finished', generated: { completion_tokens: 3 } });
    await until(() => setup.edge.receipts.length === 1);
    expect(setup.edge.receipts[0]).toMatchObject({ outcome: 'finished', usage: { completion_tokens: 3 } });
  });

  it.each([CHAT!, WHOLE_CHAT!])(
    'is stopped by the edge at the last token that is paid for; streamed: $stream',
    async (format) => {
      const setup = await setUp();
      const engine = written(setup);
      const running = start(setup, { answer: format, budget: budget(1) });
      const { res } = await engine.call;
      sse(res, [token('One', 1), token(' two', 2)], { end: false });
      const { reading, abort, jti } = await running;
      await until(() => reading.marks.last?.waiting === 2);
      setup.engine.onAbort = () => {
        if (!res.writableEnded) sse(res, [event({ finish: 'abort' }), total(usage(5)), '[DONE]']);
      };
      await abort();
      await reading.ended;
      expect(reading.text).toContain('One');
      expect(reading.text).not.toContain('two');
      expect(reading.marks.last).toMatchObject({ usage: { completion_tokens: 1 }, waiting: null });
      expect(reading.marks.end).toMatchObject({ ended: 'aborted', generated: { completion_tokens: 5 } });
      await until(() => setup.edge.receipts.length === 1);
      expect(setup.edge.receipts[0]).toMatchObject({ request_id: jti, usage: { completion_tokens: 5 } });
    },
  );

  it('is aborted, too, where the engine had ended it', async () => {
    const setup = await setUp();
    setup.engine.onChat = ({ res }) => sse(res, [...answerEvents(['One', ' two']), '[DONE]']);
    const { reading, abort } = await start(setup, { answer: CHAT, budget: budget(1) });
    await until(() => reading.marks.last?.waiting === 2);
    await abort();
    await reading.ended;
    expect(reading.text).not.toContain('two');
    expect(reading.marks.end).toMatchObject({ ended: 'aborted', generated: { completion_tokens: 2 } });
  });

  it('stops the engine when the client leaves while it waits', async () => {
    const setup = await setUp();
    const engine = written(setup);
    const leave = new AbortController();
    const jti = requestId();
    const running = start(setup, { answer: CHAT, budget: budget(0) }, jti, leave.signal);
    sse((await engine.call).res, [token('One', 1)], { end: false });
    const { reading } = await running;
    await until(() => reading.marks.last?.waiting === 1);
    leave.abort();
    await until(() => setup.engine.aborts.includes(jti));
  });

  it('is given up when the edge says nothing for as long as a reader may take nothing', async () => {
    const setup = await setUp({ deadlines: { firstTokenMs: 60_000, idleMs: 50, abortGraceMs: 1_000 } });
    const { reading } = await start(setup, { answer: CHAT, budget: budget(1) });
    await expect(reading.ended).rejects.toThrow();
    expect(reading.marks.last).toMatchObject({ waiting: 2 });
    await until(() => setup.edge.receipts.length === 1);
  });
});

describe('an extension', () => {
  it('is for a request that runs and has a bound, and for its own account', async () => {
    const setup = await setUp();
    const engine = written(setup);
    const running = start(setup, { answer: CHAT });
    const { res } = await engine.call;
    sse(res, [token('One', 1)], { end: false });
    const { extend, jti, reading } = await running;
    expect((await extend(5)).status).toBe(404);
    const foreign = await setup.edge.sign({ jti, sub: 'acct_2' });
    expect((await post(setup.agent.url, '/v1/extend', foreign, { held_nano_usd: 5 })).status).toBe(404);
    sse(res, [event({ finish: 'stop' }), total(usage(1)), '[DONE]']);
    await reading.ended;
    expect((await extend(5)).status).toBe(404);
  });

  it('needs a token and an amount', async () => {
    const setup = await setUp();
    const body = { held_nano_usd: 5 };
    expect((await post(setup.agent.url, '/v1/extend', {}, body)).status).toBe(401);
    for (const wrong of [{}, { held_nano_usd: -1 }, { held_nano_usd: 1.5 }]) {
      const token = await setup.edge.sign({ jti: requestId() });
      expect((await post(setup.agent.url, '/v1/extend', token, wrong)).status).toBe(400);
    }
  });
});

describe('an answer that has begun and has nothing to send', () => {
  it.each([CHAT!, WHOLE_CHAT!])(
    'is kept alive, at first with an event of the dialect; streamed: $stream',
    async (format) => {
      const setup = await setUp();
      const engine = written(setup);
      const running = start(setup, { answer: format });
      const { res } = await engine.call;
      sse(res, [token('One', 1)], { end: false });
      const { reading } = await running;
      const marks = () => reading.text.split(': u ').length - 1;
      await until(() => marks() >= 3);
      const signs = reading.text.match(/^: keep-alive\n(data|\n)/gm)?.map((sign) => sign.trim().slice(13));
      expect(signs).toEqual(format.stream ? ['data', ''] : undefined);
      expect(reading.text.split('"content":"One"')).toHaveLength(format.stream ? 2 : 1);
      sse(res, [event({ finish: 'stop' }), total(usage(1)), '[DONE]']);
      await reading.ended;
      expect(reading.marks.end).toMatchObject({ ended: 'finished' });
    },
  );

  it('is silent before its first token, when another node can still take over', async () => {
    const setup = await setUp();
    const engine = written(setup);
    const running = start(setup, { answer: CHAT });
    const { res } = await engine.call;
    // The prompt's count alone begins no answer.
    sse(res, [event({ role: 'assistant', content: '', usage: usage(0) })], { end: false });
    let hasHead = false;
    void running.then(() => {
      hasHead = true;
    });
    await until(() => setup.engine.looks > 0 && setup.edge.heartbeats.length > 2);
    expect(hasHead).toBe(false);
    sse(res, [token('One', 1), event({ finish: 'stop' }), total(usage(1)), '[DONE]']);
    await (await running).reading.ended;
  });
});
