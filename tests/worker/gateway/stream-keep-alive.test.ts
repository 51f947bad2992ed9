import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadlines } from '../../../worker/gateway/node/deadlines.ts';
import type { ClientChunk } from '../../../worker/gateway/stream/client-chunk.ts';
import { keptAlive } from '../../../worker/gateway/stream/keep-alive.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const text = (value: string): ClientChunk => ({ kind: 'text', text: value, last: false });

/** A source that says each text after so many ms of its own silence, then ends or throws. */
async function* said(
  steps: readonly [waitMs: number, said: string | Error][],
): AsyncGenerator<ClientChunk, void> {
  for (const [waitMs, said] of steps) {
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    if (said instanceof Error) throw said;
    yield text(said);
  }
}

/** What comes of it and when, for a reader that is always ready. */
async function timeline(source: AsyncGenerator<ClientChunk, void>): Promise<string[]> {
  const startMs = Date.now();
  const seen: string[] = [];
  const read = async () => {
    for await (const piece of keptAlive(source, new Deadlines().alarm())) {
      seen.push(`${Date.now() - startMs} ${piece.kind === 'text' ? piece.text : piece.kind}`);
    }
    seen.push(`${Date.now() - startMs} end`);
  };
  const reading = read().catch((error: unknown) => seen.push(String(error)));
  await vi.runAllTimersAsync();
  await reading;
  return seen;
}

describe('an answer that lets itself be waited for', () => {
  it('is silent for five seconds, then says so each second', async () => {
    expect(await timeline(said([[8_500, 'a']]))).toEqual([
      '5000 blank',
      '6000 blank',
      '7000 blank',
      '8000 blank',
      '8500 a',
      '8500 end',
    ]);
  });

  it('says nothing more than itself when it comes within the grace', async () => {
    expect(await timeline(said([[4_999, 'a']]))).toEqual(['4999 a', '4999 end']);
  });

  it('is interrupted only where it pauses for longer than a second', async () => {
    const steady: [number, string][] = Array.from({ length: 10 }, (_, i) => [900, `${i}`]);
    expect((await timeline(said(steady))).filter((line) => line.endsWith('blank'))).toEqual([]);
    expect(
      await timeline(
        said([
          [100, 'a'],
          [7_000, 'b'],
          [100, 'c'],
        ]),
      ),
    ).toEqual(['100 a', '6000 blank', '7000 blank', '7100 b', '7200 c', '7200 end']);
  });

  it('fails as it would have failed', async () => {
    expect(await timeline(said([[5_500, new Error('lost')]]))).toEqual(['5000 blank', 'Error: lost']);
  });

  it.each([
    ['ends', said([[1, 'a']])],
    ['fails', said([[1, new Error('lost')]])],
  ])('leaves no timer behind when it %s', async (_, source) => {
    const reading = (async () => {
      for await (const _ of keptAlive(source, new Deadlines().alarm()));
    })().catch(() => undefined);
    await vi.advanceTimersByTimeAsync(2);
    await reading;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('does not pile up words for a reader who is away', async () => {
    const pieces = keptAlive(said([[20_000, 'a']]), new Deadlines().alarm());
    const first = pieces.next();
    await vi.advanceTimersByTimeAsync(5_000);
    expect((await first).value).toEqual({ kind: 'blank' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect((await pieces.next()).value).toEqual(text('a'));
    expect((await pieces.next()).done).toBe(true);
  });
});
