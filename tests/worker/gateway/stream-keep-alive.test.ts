/** Keep-alive chunks of an answer, by a fake clock. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadlines } from '../../../worker/gateway/node/deadlines.ts';
import type { ClientChunk } from '../../../worker/gateway/stream/client-chunk.ts';
import { withKeepAlive } from '../../../worker/gateway/stream/keep-alive.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const text = (value: string): ClientChunk => ({ kind: 'text', text: value, last: false });

/** A source that yields each text after a delay of its own, then ends; an Error is thrown instead. */
async function* source(
  steps: readonly [waitMs: number, result: string | Error][],
): AsyncGenerator<ClientChunk, void> {
  for (const [waitMs, result] of steps) {
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    if (result instanceof Error) throw result;
    yield text(result);
  }
}

/** The chunks with their times, for a reader that is always ready. */
async function timeline(chunks: AsyncGenerator<ClientChunk, void>): Promise<string[]> {
  const startMs = Date.now();
  const seen: string[] = [];
  const read = async () => {
    for await (const chunk of withKeepAlive(chunks, new Deadlines().newDeadline())) {
      seen.push(`${Date.now() - startMs} ${chunk.kind === 'text' ? chunk.text : chunk.kind}`);
    }
    seen.push(`${Date.now() - startMs} end`);
  };
  const reading = read().catch((error: unknown) => seen.push(String(error)));
  await vi.runAllTimersAsync();
  await reading;
  return seen;
}

describe('an answer that is slow', () => {
  it('sends nothing for five seconds, then a keep-alive each second', async () => {
    expect(await timeline(source([[8_500, 'a']]))).toEqual([
      '5000 keep_alive',
      '6000 keep_alive',
      '7000 keep_alive',
      '8000 keep_alive',
      '8500 a',
      '8500 end',
    ]);
  });

  it('gets no keep-alive when it arrives within the grace period', async () => {
    expect(await timeline(source([[4_999, 'a']]))).toEqual(['4999 a', '4999 end']);
  });

  it('gets keep-alives only where it pauses for longer than a second', async () => {
    const steady: [number, string][] = Array.from({ length: 10 }, (_, i) => [900, `${i}`]);
    expect((await timeline(source(steady))).filter((line) => line.endsWith('keep_alive'))).toEqual([]);
    expect(
      await timeline(
        source([
          [100, 'a'],
          [7_000, 'b'],
          [100, 'c'],
        ]),
      ),
    ).toEqual(['100 a', '6000 keep_alive', '7000 keep_alive', '7100 b', '7200 c', '7200 end']);
  });

  it('fails with its own error', async () => {
    expect(await timeline(source([[5_500, new Error('lost')]]))).toEqual(['5000 keep_alive', 'Error: lost']);
  });

  it.each([
    ['ends', source([[1, 'a']])],
    ['fails', source([[1, new Error('lost')]])],
  ])('leaves no timer behind when it %s', async (_, chunks) => {
    const reading = (async () => {
      for await (const _ of withKeepAlive(chunks, new Deadlines().newDeadline()));
    })().catch(() => undefined);
    await vi.advanceTimersByTimeAsync(2);
    await reading;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('has every tenth keep-alive as a sign of life, from the first on, also across pauses', async () => {
    const signs: number[] = [];
    const steps = source([
      [17_500, 'a'],
      [8_000, 'b'],
    ]);
    const startMs = Date.now();
    const reading = (async () => {
      for await (const chunk of withKeepAlive(steps, new Deadlines().newDeadline()))
        if (chunk.kind === 'keep_alive' && chunk.sign) signs.push(Date.now() - startMs);
    })();
    await vi.runAllTimersAsync();
    await reading;
    expect(signs).toEqual([5_000, 15_000, 25_000]);
  });

  it('does not queue up keep-alives for a reader that is away', async () => {
    const chunks = withKeepAlive(source([[20_000, 'a']]), new Deadlines().newDeadline());
    const first = chunks.next();
    await vi.advanceTimersByTimeAsync(5_000);
    expect((await first).value).toEqual({ kind: 'keep_alive', sign: true });
    await vi.advanceTimersByTimeAsync(60_000);
    expect((await chunks.next()).value).toEqual(text('a'));
    expect((await chunks.next()).done).toBe(true);
  });
});
