/** Keep-alives of an answer that has not begun, by a fake clock. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadlines } from '../../../worker/gateway/node/deadlines.ts';
import { keepAliveUntil, withinGrace } from '../../../worker/gateway/stream/keep-alive.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A result that comes, or an error that is thrown, after a while. */
function later(ms: number, result: object | Error): Promise<object> {
  return new Promise((resolve, reject) =>
    setTimeout(() => (result instanceof Error ? reject(result) : resolve(result)), ms),
  );
}

const ANSWER = { text: 'a' };

/** All that is sent while a client waits for a result, with its times. */
async function timeline(result: Promise<object>): Promise<string[]> {
  const startMs = Date.now();
  const seen: string[] = [];
  const see = (what: string) => seen.push(`${Date.now() - startMs} ${what}`);
  const wait = async () => {
    const deadline = new Deadlines().newDeadline();
    const early = await withinGrace(result, deadline, () => see('listens'));
    await (early ?? keepAliveUntil(result, deadline, () => see('keep_alive')));
    see('answer');
  };
  const waiting = wait().catch((error: unknown) => see(String(error)));
  await vi.runAllTimersAsync();
  await waiting;
  return seen;
}

describe('an answer that is slow', () => {
  it('has nothing sent for five seconds, then a keep-alive each second', async () => {
    expect(await timeline(later(8_500, ANSWER))).toEqual([
      '250 listens',
      '5000 keep_alive',
      '6000 keep_alive',
      '7000 keep_alive',
      '8000 keep_alive',
      '8500 answer',
    ]);
  });

  it('gets no keep-alive when it arrives within the grace period', async () => {
    expect(await timeline(later(4_999, ANSWER))).toEqual(['250 listens', '4999 answer']);
  });

  it('is not listened for when it is quick', async () => {
    expect(await timeline(later(249, ANSWER))).toEqual(['249 answer']);
  });

  it('fails with its own error', async () => {
    expect(await timeline(later(5_500, new Error('lost')))).toEqual([
      '250 listens',
      '5000 keep_alive',
      '5500 Error: lost',
    ]);
  });

  it.each([
    ['comes', 1, ANSWER],
    ['fails', 1, new Error('lost')],
    ['comes late', 5_001, ANSWER],
    ['fails late', 5_001, new Error('lost')],
  ])('leaves no timer behind when it %s', async (_, ms, result) => {
    const ended = timeline(later(ms, result));
    await vi.advanceTimersByTimeAsync(ms + 1);
    expect(vi.getTimerCount()).toBe(0);
    await ended;
  });
});
