/** Proofs that an aborted request has stopped at the engine. */
import { describe, expect, it } from 'vitest';
import { requestId } from './fake-edge.ts';
import { BODY, generate, metricsOf, post, setUp, type TestSetup, until } from './helpers.ts';
import { event, rankLoad, sse, total, usage } from './scripted-engine.ts';

const idle = { ...rankLoad(0), num_waiting_reqs: 0 };
const busy = (running: number, waiting = 0) => ({
  loads: [{ ...idle, num_running_reqs: running, num_waiting_reqs: waiting }],
});

/**
 * An engine that begins every answer and then stays silent, so that only its count can prove the end of a request.
 */
async function setUpSilentEngine({ abortGraceMs = 50, abortProofMs = 10_000 } = {}): Promise<TestSetup> {
  const setup = await setUp({ deadlines: { abortGraceMs, abortProofMs } });
  setup.engine.onChat = ({ res }) => sse(res, [event({ content: 'x', usage: usage(1) })], { end: false });
  return setup;
}

async function abortOne(setup: TestSetup): Promise<string> {
  const jti = requestId();
  const token = await setup.edge.sign({ jti });
  const response = await post(setup.agent.url, '/v1/generate', token, BODY);
  await post(setup.agent.url, '/v1/abort', token, {});
  await response.text();
  return jti;
}

const proofs = async (setup: TestSetup) => {
  const metrics = await metricsOf(setup.agent);
  return ['stream', 'count', 'none'].map((proof) =>
    metrics.get(`tollgate_agent_aborts_total{proof="${proof}"}`),
  );
};
const pending = async (setup: TestSetup) =>
  (await metricsOf(setup.agent)).get('tollgate_agent_aborts_pending');
const sleep = (ms = 300) => new Promise((resolve) => setTimeout(resolve, ms));

describe('an abort', () => {
  it('is proved when the engine ends the stream', async () => {
    const setup = await setUpSilentEngine({ abortGraceMs: 5_000 });
    setup.engine.loads = busy(1);
    setup.engine.onAbort = () => {
      const { res } = setup.engine.calls.at(-1)!;
      if (!res.writableEnded) sse(res, [event({ finish: 'abort' }), total(usage(1)), '[DONE]']);
    };
    await abortOne(setup);
    expect(await proofs(setup)).toEqual([1, 0, 0]);
    expect(await pending(setup)).toBe(0);
  });

  it('is otherwise proved when the engine runs no more than the agent has in flight, and is repeated until then', async () => {
    const setup = await setUpSilentEngine();
    setup.engine.loads = busy(0, 1);
    const jti = await abortOne(setup);
    const abortCount = () => setup.engine.aborts.filter((rid) => rid === jti).length;
    const before = abortCount();
    await until(() => abortCount() >= before + 5);
    expect(await proofs(setup)).toEqual([0, 0, 0]);
    expect(await pending(setup)).toBe(1);
    setup.engine.loads = { loads: [idle] };
    await expect.poll(() => proofs(setup), { timeout: 60_000 }).toEqual([0, 1, 0]);
    expect(await pending(setup)).toBe(0);
    const after = abortCount();
    await sleep(150);
    expect(abortCount()).toBe(after);
  });

  it('is not proved by a single low count', async () => {
    const setup = await setUpSilentEngine();
    let polls = 0;
    Object.defineProperty(setup.engine, 'loads', {
      get: () => {
        polls += 1;
        return polls % 3 === 0 ? busy(1) : { loads: [idle] };
      },
    });
    await abortOne(setup);
    await until(() => polls > 20);
    expect((await proofs(setup))[1]).toBe(0);
  });

  it('allows the count the other requests in flight', async () => {
    const setup = await setUpSilentEngine();
    setup.engine.loads = busy(3);
    const other = generate(setup, { body: { ...BODY, n: 2 } });
    await until(() => setup.engine.calls.length === 1);
    await abortOne(setup);
    await sleep();
    expect(await proofs(setup)).toEqual([0, 0, 0]);
    setup.engine.loads = busy(2);
    await expect.poll(() => proofs(setup), { timeout: 60_000 }).toEqual([0, 1, 0]);
    setup.engine.calls[0]!.res.destroy();
    await other;
  });

  it('counts as unproved, with a line in the log, when the engine goes on past the deadline', async () => {
    const setup = await setUpSilentEngine({ abortProofMs: 400 });
    setup.engine.loads = busy(1);
    const jti = await abortOne(setup);
    await until(() => setup.logs.some((line) => line.includes('abort_unproven')));
    expect(JSON.parse(setup.logs.find((line) => line.includes('abort_unproven'))!)).toMatchObject({
      request: jti,
      at_engine: 1,
      in_hand: 0,
    });
    expect(await proofs(setup)).toEqual([0, 0, 1]);
    expect(await pending(setup)).toBe(0);
  });

  it('counts as unproved when the engine does not report what it runs', async () => {
    const setup = await setUpSilentEngine({ abortProofMs: 300 });
    setup.engine.loads = { loads: [] };
    await abortOne(setup);
    await until(() => setup.logs.some((line) => line.includes('abort_unproven')));
    expect(await proofs(setup)).toEqual([0, 0, 1]);
  });
});

describe('a request that was given up', () => {
  it('needs a proof that it stopped, too', async () => {
    const setup = await setUp({ deadlines: { idleMs: 50, abortProofMs: 400 } });
    setup.engine.loads = busy(1);
    setup.engine.onChat = ({ res }) => sse(res, [event({ content: 'x', usage: usage(1) })], { end: false });
    expect((await generate(setup)).error?.code).toBe('engine_timeout');
    await until(() => setup.logs.some((line) => line.includes('abort_unproven')));
    expect(await proofs(setup)).toEqual([0, 0, 1]);
  });

  it('needs no proof when the engine ended it', async () => {
    const setup = await setUp({ deadlines: { abortProofMs: 200 } });
    setup.engine.loads = busy(1);
    setup.engine.onChat = ({ res }) => sse(res, [{ error: { message: 'full', code: 503 } }, '[DONE]']);
    await generate(setup);
    await sleep(400);
    expect(await proofs(setup)).toEqual([0, 0, 0]);
    expect(await pending(setup)).toBe(0);
  });
});
