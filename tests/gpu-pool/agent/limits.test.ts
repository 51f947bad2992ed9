/** What the agent does not take: more than its engine could run and queue, and more than a request needs. */
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { asking } from './fake-edge.ts';
import { BODY, generate, post, type Stage, stage, until } from './helpers.ts';
import { event, rankLoad, sse, usage } from './scripted-engine.ts';

/** An engine that runs two and queues two, over two ranks, and answers nothing yet. */
async function stageOfFour(): Promise<Stage> {
  const on = await stage();
  on.engine.settings.max_queued_requests = 1;
  on.engine.loads = {
    loads: [0, 1].map((dp_rank) => ({ ...rankLoad(0), dp_rank, max_running_requests: 1 })),
  };
  on.engine.health = 503;
  await until(() => on.edge.heartbeats.at(-1)?.load.max_running_requests === 2);
  on.engine.health = 200;
  await until(() => on.edge.heartbeats.at(-1)?.load.max_queued_requests === 2);
  on.engine.onChat = () => {};
  return on;
}
const finish = (on: Stage) => {
  for (const { res } of on.engine.calls) {
    if (!res.writableEnded)
      sse(res, [event({ content: 'a', usage: usage(1) }), event({ finish: 'stop' }), '[DONE]']);
  }
};

describe('more than the engine can run and queue', () => {
  it('is refused with Retry-After before the engine hears of it, and taken again when there is room', async () => {
    const on = await stageOfFour();
    const taken = Array.from({ length: 4 }, () => generate(on));
    await until(() => on.engine.calls.length === 4);
    const token = await on.edge.sign();
    const refused = await generate(on, { token });
    expect([refused.status, refused.error?.code]).toEqual([503, 'overloaded']);
    expect(refused.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
    expect(on.engine.calls).toHaveLength(4);
    // nor is the body read
    expect((await generate(on, { body: {} })).status).toBe(503);
    finish(on);
    expect((await Promise.all(taken)).every(({ done }) => done)).toBe(true);
    // a token that was refused for want of room is not used up
    on.engine.onChat = () => finish(on);
    expect((await generate(on, { token })).done).toBe(true);
  });

  it('is refused however many come at once', async () => {
    const on = await stageOfFour();
    const answers = Array.from({ length: 12 }, () => generate(on));
    await until(() => on.engine.calls.length === 4);
    await new Promise((resolve) => setTimeout(resolve, 100));
    finish(on);
    const statuses = (await Promise.all(answers)).map(({ status }) => status).sort();
    expect(statuses).toEqual([200, 200, 200, 200, ...Array(8).fill(503)]);
  });

  it('counts every answer that a request wants, and lets the engine judge one that is alone', async () => {
    const on = await stageOfFour();
    const alone = generate(on, { body: { ...BODY, n: 5 } });
    await until(() => on.engine.calls.length === 1);
    expect((await generate(on)).status).toBe(503);
    on.engine.calls[0]!.res.destroy();
    await alone;
    const three = generate(on, { body: { ...BODY, n: 3 } });
    await until(() => on.engine.calls.length === 2);
    expect((await generate(on, { body: { ...BODY, n: 2 } })).status).toBe(503);
    on.engine.calls[1]!.res.destroy();
    await three;
  });

  it('refuses strangers first', async () => {
    const on = await stageOfFour();
    const taken = Array.from({ length: 4 }, () => generate(on));
    await until(() => on.engine.calls.length === 4);
    expect((await post(on.agent.url, '/v1/generate', asking('a.b.c'), BODY)).status).toBe(401);
    finish(on);
    await Promise.all(taken);
  });
});

describe('headers', () => {
  const knock = (url: string, headerBytes: number) =>
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

  it('are taken up to 12 KiB', async () => {
    const { agent } = await stage();
    expect(await knock(agent.url, 11 << 10)).toContain(' 200 ');
    expect(await knock(agent.url, 13 << 10)).toContain(' 431 ');
  });
});
