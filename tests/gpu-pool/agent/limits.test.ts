/** Limits of the agent: requests beyond what its engine can run and queue, and headers that are too large. */
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { requestHeaders } from './fake-edge.ts';
import { BODY, generate, post, setUp, type TestSetup, until } from './helpers.ts';
import { event, rankLoad, sse, usage } from './scripted-engine.ts';

/** An engine that runs two sequences over two ranks and queues eight in each, and answers nothing yet. */
const CAPACITY = 18;
/** How many of them go to the engine before any has begun: as many as the queue of one rank has places. */
const QUEUE = 8;
async function setUpSmall(): Promise<TestSetup> {
  const setup = await setUp();
  setup.engine.settings.max_queued_requests = QUEUE;
  setup.engine.loads = {
    loads: [0, 1].map((dp_rank) => ({ ...rankLoad(0), dp_rank, max_running_requests: 1 })),
  };
  setup.engine.health = 503;
  await until(() => setup.edge.heartbeats.at(-1)?.load.max_running_requests === 2);
  setup.engine.health = 200;
  await until(() => setup.edge.heartbeats.at(-1)?.load.max_queued_requests === 2 * QUEUE);
  setup.engine.onChat = () => {};
  return setup;
}
const inFlight = ({ edge }: TestSetup) => edge.heartbeats.at(-1)?.in_flight;
/** Ends the calls at the engine, and those that follow. */
const finishAll = (setup: TestSetup) => {
  setup.engine.onChat = () => finishAll(setup);
  for (const { res } of setup.engine.calls) {
    if (!res.writableEnded)
      sse(res, [event({ content: 'a', usage: usage(1) }), event({ finish: 'stop' }), '[DONE]']);
  }
};

describe('more than the engine can run and queue', () => {
  it('is refused with Retry-After before it reaches the engine, and admitted again when there is capacity', async () => {
    const setup = await setUpSmall();
    const admitted = Array.from({ length: CAPACITY }, () => generate(setup));
    await until(() => setup.engine.calls.length === QUEUE && inFlight(setup) === CAPACITY);
    const token = await setup.edge.sign();
    const refused = await generate(setup, { token });
    expect([refused.status, refused.error?.code]).toEqual([503, 'overloaded']);
    expect(refused.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
    expect(setup.engine.calls).toHaveLength(QUEUE);
    // An invalid body gets the same status, because the body is not read.
    expect((await generate(setup, { body: {} })).status).toBe(503);
    finishAll(setup);
    expect((await Promise.all(admitted)).every(({ done }) => done)).toBe(true);
    // A token that was refused for lack of capacity is not used up.
    setup.engine.onChat = () => finishAll(setup);
    expect((await generate(setup, { token })).done).toBe(true);
  });

  it('is refused when many requests arrive at once', async () => {
    const setup = await setUpSmall();
    let refused = 0;
    const answers = Array.from({ length: CAPACITY + 8 }, async () => {
      const answer = await generate(setup);
      if (answer.status === 503) refused += 1;
      return answer;
    });
    await until(() => setup.engine.calls.length === QUEUE && refused === 8);
    finishAll(setup);
    const statuses = (await Promise.all(answers)).map(({ status }) => status).sort();
    expect(statuses).toEqual([...Array(CAPACITY).fill(200), ...Array(8).fill(503)]);
  });

  it('counts every choice of a request, and leaves a request that is alone for the engine to judge', async () => {
    const setup = await setUpSmall();
    const alone = generate(setup, { body: { ...BODY, n: 16 } });
    await until(() => setup.engine.calls.length === 1);
    expect((await generate(setup, { body: { ...BODY, n: 3 } })).status).toBe(503);
    setup.engine.calls[0]!.res.destroy();
    await alone;
    const three = generate(setup, { body: { ...BODY, n: 15 } });
    await until(() => setup.engine.calls.length === 2);
    expect((await generate(setup, { body: { ...BODY, n: 4 } })).status).toBe(503);
    setup.engine.calls[1]!.res.destroy();
    await three;
  });

  it('refuses requests without a valid token first', async () => {
    const setup = await setUpSmall();
    const admitted = Array.from({ length: CAPACITY }, () => generate(setup));
    await until(() => setup.engine.calls.length === QUEUE && inFlight(setup) === CAPACITY);
    expect((await post(setup.agent.url, '/v1/generate', requestHeaders('a.b.c'), BODY)).status).toBe(401);
    finishAll(setup);
    await Promise.all(admitted);
  });
});

describe('headers', () => {
  const getHealth = (url: string, headerBytes: number) =>
    new Promise<string>((resolve) => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      socket.write(
        `GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ${'x'.repeat(headerBytes)}\r\n\r\n`,
      );
      let text = '';
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('close', () => resolve(text));
    });

  it('are accepted up to 12 KiB', async () => {
    const { agent } = await setUp();
    expect(await getHealth(agent.url, 11 << 10)).toContain(' 200 ');
    expect(await getHealth(agent.url, 13 << 10)).toContain(' 431 ');
  });
});
