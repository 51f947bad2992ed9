/** How a burst is held back so that it fits the engine's queue. */
import { describe, expect, it } from 'vitest';
import { EngineQueue } from '../../../gpu-pool/agent/engine-queue.ts';

function setUp(limit: number) {
  const queue = new EngineQueue();
  const order: string[] = [];
  const enter = (name: string, { sequences = 1, background = false } = {}) => {
    const giveUp = new AbortController();
    const entered = queue.enter({ sequences, background }, { limit, signal: giveUp.signal });
    void entered.then((may) => order.push(may ? name : `${name} left`));
    return { giveUp: () => giveUp.abort(), leave: () => queue.leave({ sequences, background }) };
  };
  const settled = async () => {
    await new Promise(setImmediate);
    return order.splice(0);
  };
  return { enter, settled };
}

describe('the queue of an engine', () => {
  it('lets nobody in at once who does not fit, or before those who wait', () => {
    const queue = new EngineQueue();
    const one = { sequences: 1, background: false };
    expect(queue.enterAtOnce({ ...one, sequences: 2 }, { limit: 2 })).toBe(true);
    expect(queue.enterAtOnce(one, { limit: 2 })).toBe(false);
    void queue.enter({ ...one, sequences: 9 }, { limit: 2, signal: new AbortController().signal });
    expect(queue.enterAtOnce(one, { limit: 3 })).toBe(false);
  });

  it('takes as many choices as fit, and the next ones when those have begun', async () => {
    const { enter, settled } = setUp(4);
    const first = enter('a', { sequences: 3 });
    enter('b', { sequences: 2 });
    enter('c');
    expect(await settled()).toEqual(['a']);
    first.leave();
    expect(await settled()).toEqual(['b', 'c']);
  });

  it('is entered by interactive requests first, and holds none of them back for background ones', async () => {
    const { enter, settled } = setUp(2);
    const lines = ['x', 'y', 'z'].map((name) => enter(name, { background: true }));
    const first = enter('a', { sequences: 2 });
    expect(await settled()).toEqual(['x', 'y', 'a']);
    enter('b');
    lines[0]!.leave();
    expect(await settled()).toEqual([]);
    first.leave();
    expect(await settled()).toEqual(['b']);
  });

  it('is left by a request that waits no longer, and blocked by none that does not fit', async () => {
    const { enter, settled } = setUp(2);
    enter('a');
    const large = enter('large', { sequences: 2 });
    enter('b');
    expect(await settled()).toEqual(['a']);
    large.giveUp();
    expect((await settled()).sort()).toEqual(['b', 'large left']);
  });

  it('is empty for a request that has more choices than it has places', async () => {
    const { enter, settled } = setUp(2);
    const first = enter('a');
    enter('large', { sequences: 8 });
    expect(await settled()).toEqual(['a']);
    first.leave();
    expect(await settled()).toEqual(['large']);
  });
});
