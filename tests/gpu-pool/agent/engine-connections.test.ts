/** Connections to the engine: which are used again, and which are closed. */
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { generate, setUp, type TestSetup, until } from './helpers.ts';
import { answerEvents, event, sse, usage } from './scripted-engine.ts';

/** Answers in two writes, of which the second ends the response. */
function answersInTwo({ engine }: TestSetup): void {
  engine.onChat = ({ res }) => {
    sse(res, [...answerEvents(['Hello']), '[DONE]'], { end: false });
    setImmediate(() => res.end());
  };
}

const socketsOf = ({ engine }: TestSetup): Socket[] => engine.calls.map(({ req }) => req.socket);
const closed = (socket: Socket) => until(() => socket.destroyed);

describe('a connection to the engine', () => {
  it('is used again after a whole answer, also where the response ends behind its [DONE]', async () => {
    const setup = await setUp({ heartbeatIntervalMs: 60_000 });
    answersInTwo(setup);
    for (let round = 0; round < 20; round += 1) expect((await generate(setup)).done).toBe(true);
    // One that has not ended yet cannot be used again, so that there may be a second one.
    expect(new Set(socketsOf(setup)).size).toBeLessThanOrEqual(2);
  });

  it('is replaced where the engine has closed it', async () => {
    const setup = await setUp({ heartbeatIntervalMs: 60_000 });
    await generate(setup);
    const [first] = socketsOf(setup);
    first!.end();
    await closed(first!);
    expect((await generate(setup)).done).toBe(true);
    expect(socketsOf(setup)[1]).not.toBe(first);
  });

  it('is closed while it is idle, before the engine would close it', async () => {
    const setup = await setUp({ heartbeatIntervalMs: 60_000 });
    await generate(setup);
    // A server that closes a connection itself sees no end of it before.
    await new Promise((resolve) => socketsOf(setup)[0]!.once('end', resolve));
  });

  it('is closed when its answer is aborted or given up, so that the engine sees it', async () => {
    const setup = await setUp({ deadlines: { idleMs: 200 } });
    const { engine } = setup;
    engine.onChat = ({ res }) => sse(res, [event({ content: 'a', usage: usage(1) })], { end: false });
    expect((await generate(setup)).error?.code).toBe('engine_timeout');
    await closed(socketsOf(setup)[0]!);
  });

  it('that breaks before an answer makes the request fail, and the request is not sent again', async () => {
    const setup = await setUp();
    expect((await generate(setup)).done).toBe(true);
    setup.engine.onChat = ({ req }) => req.socket.destroy();
    expect((await generate(setup)).error?.code).toBe('engine_failed');
    expect(setup.engine.calls).toHaveLength(2);
  });
});
