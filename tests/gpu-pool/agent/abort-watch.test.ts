/** What the agent takes for a proof that an aborted request has stopped at the engine. */
import { describe, expect, it } from 'vitest';
import { requestId } from './fake-edge.ts';
import { BODY, generate, metricsOf, post, type Stage, stage, until } from './helpers.ts';
import { event, rankLoad, sse, total, usage } from './scripted-engine.ts';

const idle = { ...rankLoad(0), num_waiting_reqs: 0 };
const busy = (running: number, waiting = 0) => ({
  loads: [{ ...idle, num_running_reqs: running, num_waiting_reqs: waiting }],
});

/** An engine that begins every answer and says no more, so that nothing but its count can prove an end. */
async function stageOfMutes({ abortGraceMs = 50, abortProofMs = 10_000 } = {}): Promise<Stage> {
  const on = await stage({ deadlines: { abortGraceMs, abortProofMs } });
  on.engine.onChat = ({ res }) => sse(res, [event({ content: 'x', usage: usage(1) })], { end: false });
  return on;
}

async function abortOne(on: Stage): Promise<string> {
  const jti = requestId();
  const token = await on.edge.sign({ jti });
  const response = await post(on.agent.url, '/v1/generate', token, BODY);
  await post(on.agent.url, '/v1/abort', token, {});
  await response.text();
  return jti;
}

const proofs = async (on: Stage) => {
  const metrics = await metricsOf(on.agent);
  return ['stream', 'count', 'none'].map((proof) =>
    metrics.get(`tollgate_agent_aborts_total{proof="${proof}"}`),
  );
};
const pending = async (on: Stage) => (await metricsOf(on.agent)).get('tollgate_agent_aborts_pending');
const later = (ms = 300) => new Promise((resolve) => setTimeout(resolve, ms));

describe('an abort', () => {
  it('is proved where the engine ends the stream', async () => {
    const on = await stageOfMutes({ abortGraceMs: 5_000 });
    on.engine.loads = busy(1);
    on.engine.onAbort = () => {
      const { res } = on.engine.calls.at(-1)!;
      if (!res.writableEnded) sse(res, [event({ finish: 'abort' }), total(usage(1)), '[DONE]']);
    };
    await abortOne(on);
    expect(await proofs(on)).toEqual([1, 0, 0]);
    expect(await pending(on)).toBe(0);
  });

  it('else is proved where the engine has no more than the agent, and is repeated until then', async () => {
    const on = await stageOfMutes();
    on.engine.loads = busy(0, 1);
    const jti = await abortOne(on);
    const told = () => on.engine.aborts.filter((rid) => rid === jti).length;
    const before = told();
    await until(() => told() >= before + 5);
    expect(await proofs(on)).toEqual([0, 0, 0]);
    expect(await pending(on)).toBe(1);
    on.engine.loads = { loads: [idle] };
    await expect.poll(() => proofs(on), { timeout: 4_000 }).toEqual([0, 1, 0]);
    expect(await pending(on)).toBe(0);
    const after = told();
    await later(150);
    expect(told()).toBe(after);
  });

  it('is not proved by a single low count', async () => {
    const on = await stageOfMutes();
    let looks = 0;
    Object.defineProperty(on.engine, 'loads', {
      get: () => {
        looks += 1;
        return looks % 3 === 0 ? busy(1) : { loads: [idle] };
      },
    });
    await abortOne(on);
    await until(() => looks > 20);
    expect((await proofs(on))[1]).toBe(0);
  });

  it('leaves room in the count for what else is in hand', async () => {
    const on = await stageOfMutes();
    on.engine.loads = busy(3);
    const other = generate(on, { body: { ...BODY, n: 2 } });
    await until(() => on.engine.calls.length === 1);
    await abortOne(on);
    await later();
    expect(await proofs(on)).toEqual([0, 0, 0]);
    on.engine.loads = busy(2);
    await expect.poll(() => proofs(on), { timeout: 4_000 }).toEqual([0, 1, 0]);
    on.engine.calls[0]!.res.destroy();
    await other;
  });

  it('counts as unproved, with a line in the log, where the engine goes on past the bound', async () => {
    const on = await stageOfMutes({ abortProofMs: 400 });
    on.engine.loads = busy(1);
    const jti = await abortOne(on);
    await until(() => on.logs.some((line) => line.includes('abort_unproven')));
    expect(JSON.parse(on.logs.find((line) => line.includes('abort_unproven'))!)).toMatchObject({
      request: jti,
      at_engine: 1,
      in_hand: 0,
    });
    expect(await proofs(on)).toEqual([0, 0, 1]);
    expect(await pending(on)).toBe(0);
  });

  it('counts as unproved where the engine does not say what it runs', async () => {
    const on = await stageOfMutes({ abortProofMs: 300 });
    on.engine.loads = { loads: [] };
    await abortOne(on);
    await until(() => on.logs.some((line) => line.includes('abort_unproven')));
    expect(await proofs(on)).toEqual([0, 0, 1]);
  });
});

describe('a request that was given up', () => {
  it('has to be proved stopped too', async () => {
    const on = await stage({ deadlines: { idleMs: 50, abortProofMs: 400 } });
    on.engine.loads = busy(1);
    on.engine.onChat = ({ res }) => sse(res, [event({ content: 'x', usage: usage(1) })], { end: false });
    expect((await generate(on)).error?.code).toBe('engine_timeout');
    await until(() => on.logs.some((line) => line.includes('abort_unproven')));
    expect(await proofs(on)).toEqual([0, 0, 1]);
  });

  it('needs no proof where the engine ended it', async () => {
    const on = await stage({ deadlines: { abortProofMs: 200 } });
    on.engine.loads = busy(1);
    on.engine.onChat = ({ res }) => sse(res, [{ error: { message: 'full', code: 503 } }, '[DONE]']);
    await generate(on);
    await later(400);
    expect(await proofs(on)).toEqual([0, 0, 0]);
    expect(await pending(on)).toBe(0);
  });
});
