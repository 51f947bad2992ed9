import { describe, expect, it } from 'vitest';
import { requestId } from './fake-edge.ts';
import { BODY, generate, post, read, type Stage, stage, textOf, until } from './helpers.ts';
import { type ChatCall, event, sse, total, usage } from './scripted-engine.ts';

/** Generates until aborted, then says exactly how much it was, as SGLang does. */
function generateUntilAborted(
  { engine }: Stage,
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

async function begin(on: Stage, jti: string, signal?: AbortSignal) {
  const response = await post(on.agent.url, '/v1/generate', await on.edge.sign({ jti }), BODY, signal);
  expect(response.status).toBe(200);
  return response;
}

describe('an abort by the edge', () => {
  it('ends the stream with the exact final usage and [DONE]', async () => {
    const on = await stage();
    generateUntilAborted(on);
    const jti = requestId();
    const response = await begin(on, jti);
    const token = await on.edge.sign({ jti });
    expect(await (await post(on.agent.url, '/v1/abort', token, {})).json()).toEqual({ aborted: true });
    const answer = await read(response);
    expect([answer.done, answer.error]).toEqual([true, null]);
    expect(textOf(answer.chunks)).toBe('');
    expect(answer.chunks.at(-1)).toEqual({ choices: [], usage: exact });
    await until(() => on.edge.receipts.length === 1);
    expect(on.edge.receipts[0]).toMatchObject({ request_id: jti, outcome: 'aborted', usage: exact });
    expect(on.engine.aborts).toEqual([jti]);
    expect(await (await post(on.agent.url, '/v1/abort', token, {})).json()).toEqual({ aborted: false });
  });

  it('does nothing for another account', async () => {
    const on = await stage();
    generateUntilAborted(on);
    const jti = requestId();
    const response = await begin(on, jti);
    const foreign = await on.edge.sign({ jti, sub: 'acct_2' });
    expect(await (await post(on.agent.url, '/v1/abort', foreign, {})).json()).toEqual({ aborted: false });
    expect(on.engine.aborts).toEqual([]);
    await response.body?.cancel();
  });

  it('reaches a request that still waits for its first token', async () => {
    const on = await stage();
    on.engine.onChat = () => {};
    on.engine.onAbort = () => {
      const res = on.engine.calls[0]!.res;
      if (!res.writableEnded) sse(res, [event({ finish: 'abort' }), total(usage(0)), '[DONE]']);
    };
    const jti = requestId();
    const answering = generate(on, { claims: { jti } });
    await until(() => on.engine.calls.length === 1);
    await post(on.agent.url, '/v1/abort', await on.edge.sign({ jti }), {});
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
    'cuts an engine that ignores it and %s, with the last known usage',
    async (how) => {
      const on = await stage({ deadlines: { abortGraceMs: 150 } });
      on.engine.onChat = ({ res }) => {
        if (how === 'waits') return;
        let count = 0;
        const timer = setInterval(() => {
          count += 1;
          sse(res, [event({ content: 'x', usage: usage(count) })], { end: false });
        }, 10);
        res.on('close', () => clearInterval(timer));
      };
      const jti = requestId();
      const answering = generate(on, { claims: { jti } });
      await until(() => on.engine.calls.length === 1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      await post(on.agent.url, '/v1/abort', await on.edge.sign({ jti }), {});
      const answer = await answering;
      expect([answer.status, answer.done]).toEqual([200, true]);
      const last = answer.chunks.at(-1)!;
      expect(last.choices).toEqual([]);
      expect(last.usage.completion_tokens > 5).toBe(how === 'streams');
      await until(() => on.engine.calls[0]?.res.destroyed && on.edge.receipts.length === 1);
      expect(on.edge.receipts[0]).toMatchObject({ outcome: 'aborted', usage: last.usage });
    },
  );

  it('is repeated, because the first may overtake the request', async () => {
    const on = await stage({ deadlines: { abortGraceMs: 3_000 } });
    const { call } = generateUntilAborted(on, { obeys: false });
    const jti = requestId();
    const response = await begin(on, jti);
    const obey = on.engine.onAbort;
    let heard = 0;
    on.engine.onAbort = (rid) => {
      heard += 1;
      if (heard === 2) sse(call()!.res, [total(usage(7, { reasoning: 2, cached: 8 })), '[DONE]']);
      else obey(rid);
    };
    await post(on.agent.url, '/v1/abort', await on.edge.sign({ jti }), {});
    expect((await read(response)).chunks.at(-1)?.usage).toEqual(exact);
  });
});

describe('an edge that leaves', () => {
  it('aborts the engine at once and still books the exact usage', async () => {
    const on = await stage();
    generateUntilAborted(on);
    const jti = requestId();
    const leaving = new AbortController();
    const response = await begin(on, jti, leaving.signal);
    await response.body?.getReader().read();
    leaving.abort();
    await until(() => on.edge.receipts.length === 1);
    expect(on.engine.aborts).toEqual([jti]);
    expect(on.edge.receipts[0]).toMatchObject({ request_id: jti, outcome: 'aborted', usage: exact });
  });

  it('is noticed before the first token too', async () => {
    const on = await stage({ deadlines: { abortGraceMs: 100 } });
    on.engine.onChat = () => {};
    const leaving = new AbortController();
    const jti = requestId();
    post(on.agent.url, '/v1/generate', await on.edge.sign({ jti }), BODY, leaving.signal).catch(() => {});
    await until(() => on.engine.calls.length === 1);
    leaving.abort();
    await until(() => on.edge.receipts.length === 1);
    expect(on.edge.receipts[0]).toMatchObject({ outcome: 'aborted', usage: { completion_tokens: 0 } });
    expect(on.engine.aborts).toContain(jti);
  });

  it('is also a reader that takes nothing for longer than the idle deadline', async () => {
    const on = await stage({ deadlines: { idleMs: 200, abortGraceMs: 100 } });
    on.engine.onChat = ({ res }) => {
      const events = Array.from({ length: 200 }, (_, i) =>
        event({ content: 'x'.repeat(64 << 10), usage: usage(i + 1) }),
      );
      sse(res, events, { end: false });
    };
    const response = await begin(on, requestId());
    await until(() => on.edge.receipts[0]?.outcome === 'aborted');
    await response.text().catch(() => {});
  });
});
