/** Aborts by the edge, and aborts because its connection closed. */
import { describe, expect, it } from 'vitest';
import { requestId } from './fake-edge.ts';
import { BODY, generate, post, read, setUp, type TestSetup, textOf, until } from './helpers.ts';
import { type ChatCall, event, sse, total, usage } from './scripted-engine.ts';

/** Scripts an engine that generates until aborted, then reports exactly how much it generated, as SGLang does. */
function generateUntilAborted(
  { engine }: TestSetup,
  { obeys = true } = {},
): { call: () => ChatCall | undefined } {
  let call: ChatCall | undefined;
  engine.onChat = (incoming) => {
    call = incoming;
    sse(incoming.res, [event({ reasoning: 'a', usage: usage(1, { reasoning: 1 }) })], { end: false });
  };
  engine.onAbort = () => {
    if (!obeys || !call || call.res.writableEnded) return;
    sse(call.res, [
      event({ content: 'late', usage: usage(6, { reasoning: 1 }) }),
      event({ finish: 'abort' }),
      total(usage(7, { reasoning: 2, cached: 8 })),
      '[DONE]',
    ]);
  };
  return { call: () => call };
}
const exact = { prompt_tokens: 12, cached_tokens: 8, completion_tokens: 7, reasoning_tokens: 2 };

async function startGeneration(setup: TestSetup, jti: string, signal?: AbortSignal) {
  const response = await post(setup.agent.url, '/v1/generate', await setup.edge.sign({ jti }), BODY, signal);
  expect(response.status).toBe(200);
  return response;
}

describe('an abort by the edge', () => {
  it('ends the stream with the exact final usage and [DONE]', async () => {
    const setup = await setUp();
    generateUntilAborted(setup);
    const jti = requestId();
    const response = await startGeneration(setup, jti);
    const token = await setup.edge.sign({ jti });
    expect(await (await post(setup.agent.url, '/v1/abort', token, {})).json()).toEqual({ aborted: true });
    const answer = await read(response);
    expect([answer.done, answer.error]).toEqual([true, null]);
    expect(textOf(answer.chunks)).toBe('');
    expect(answer.chunks.at(-1)).toEqual({ choices: [], usage: exact });
    await until(() => setup.edge.receipts.length === 1);
    expect(setup.edge.receipts[0]).toMatchObject({ request_id: jti, outcome: 'aborted', usage: exact });
    expect(setup.engine.aborts).toEqual([jti]);
    expect(await (await post(setup.agent.url, '/v1/abort', token, {})).json()).toEqual({ aborted: false });
  });

  it('does nothing for another account', async () => {
    const setup = await setUp();
    generateUntilAborted(setup);
    const jti = requestId();
    const response = await startGeneration(setup, jti);
    const foreign = await setup.edge.sign({ jti, sub: 'acct_2' });
    expect(await (await post(setup.agent.url, '/v1/abort', foreign, {})).json()).toEqual({ aborted: false });
    expect(setup.engine.aborts).toEqual([]);
    await response.body?.cancel();
  });

  it('reaches a request that still waits for its first token', async () => {
    const setup = await setUp();
    setup.engine.onChat = () => {};
    setup.engine.onAbort = () => {
      const res = setup.engine.calls[0]!.res;
      if (!res.writableEnded) sse(res, [event({ finish: 'abort' }), total(usage(0)), '[DONE]']);
    };
    const jti = requestId();
    const answering = generate(setup, { claims: { jti } });
    await until(() => setup.engine.calls.length === 1);
    await post(setup.agent.url, '/v1/abort', await setup.edge.sign({ jti }), {});
    const answer = await answering;
    expect([answer.status, answer.done]).toEqual([200, true]);
    expect(answer.chunks).toEqual([
      {
        choices: [],
        usage: { prompt_tokens: 12, cached_tokens: 0, completion_tokens: 0, reasoning_tokens: 0 },
      },
    ]);
  });

  it.each(['streams', 'waits'])(
    'cuts off an engine that ignores it and %s, with the last known usage',
    async (behaviour) => {
      const setup = await setUp({ deadlines: { abortGraceMs: 150 } });
      setup.engine.onChat = ({ res }) => {
        if (behaviour === 'waits') return;
        let count = 0;
        const sendOne = () => {
          count += 1;
          sse(res, [event({ content: 'x', usage: usage(count) })], { end: false });
        };
        for (let i = 0; i < 6; i++) sendOne();
        const timer = setInterval(sendOne, 10);
        res.on('close', () => clearInterval(timer));
      };
      const jti = requestId();
      const answering = generate(setup, { claims: { jti } });
      await until(() => setup.engine.calls.length === 1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      await post(setup.agent.url, '/v1/abort', await setup.edge.sign({ jti }), {});
      const answer = await answering;
      expect([answer.status, answer.done]).toEqual([200, true]);
      const last = answer.chunks.at(-1)!;
      expect(last.choices).toEqual([]);
      expect(last.usage.completion_tokens > 5).toBe(behaviour === 'streams');
      await until(() => setup.engine.calls[0]?.res.destroyed && setup.edge.receipts.length === 1);
      expect(setup.edge.receipts[0]).toMatchObject({ outcome: 'aborted', usage: last.usage });
    },
  );

  it('is repeated, because the first may overtake the request', async () => {
    const setup = await setUp({ deadlines: { abortGraceMs: 3_000 } });
    const { call } = generateUntilAborted(setup, { obeys: false });
    const jti = requestId();
    const response = await startGeneration(setup, jti);
    const defaultOnAbort = setup.engine.onAbort;
    let abortCount = 0;
    setup.engine.onAbort = (rid) => {
      abortCount += 1;
      if (abortCount === 2) sse(call()!.res, [total(usage(7, { reasoning: 2, cached: 8 })), '[DONE]']);
      else defaultOnAbort(rid);
    };
    await post(setup.agent.url, '/v1/abort', await setup.edge.sign({ jti }), {});
    expect((await read(response)).chunks.at(-1)?.usage).toEqual(exact);
  });
});

describe('an edge that disconnects', () => {
  it('aborts the request at once and still records the exact usage', async () => {
    const setup = await setUp();
    generateUntilAborted(setup);
    const jti = requestId();
    const client = new AbortController();
    const response = await startGeneration(setup, jti, client.signal);
    await response.body?.getReader().read();
    client.abort();
    await until(() => setup.edge.receipts.length === 1);
    expect(setup.engine.aborts).toEqual([jti]);
    expect(setup.edge.receipts[0]).toMatchObject({ request_id: jti, outcome: 'aborted', usage: exact });
  });

  it('is noticed before the first token too', async () => {
    const setup = await setUp({ deadlines: { abortGraceMs: 100 } });
    setup.engine.onChat = () => {};
    const client = new AbortController();
    const jti = requestId();
    post(setup.agent.url, '/v1/generate', await setup.edge.sign({ jti }), BODY, client.signal).catch(
      () => {},
    );
    await until(() => setup.engine.calls.length === 1);
    client.abort();
    await until(() => setup.edge.receipts.length === 1);
    expect(setup.edge.receipts[0]).toMatchObject({ outcome: 'aborted', usage: { completion_tokens: 0 } });
    expect(setup.engine.aborts).toContain(jti);
  });

  it('includes a reader that takes nothing for longer than the idle deadline', async () => {
    const setup = await setUp({ deadlines: { idleMs: 200, abortGraceMs: 100 } });
    setup.engine.onChat = ({ res }) => {
      const events = Array.from({ length: 200 }, (_, i) =>
        event({ content: 'x'.repeat(64 << 10), usage: usage(i + 1) }),
      );
      sse(res, events, { end: false });
    };
    const response = await startGeneration(setup, requestId());
    await until(() => setup.edge.receipts[0]?.outcome === 'aborted');
    await response.text().catch(() => {});
  });
});
