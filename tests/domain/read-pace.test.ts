/** How often the edge looks at an answer that passes, and how much of it a client that does not read can pile up. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ReadPace } from '../../worker/gateway/node/read-pace.ts';

const PULLED_MAX = 16 * 1024;

/** Looks for so long at an answer of which each look gets what `got` says. @returns all that was read */
function lookFor(totalMs: number, got: (sinceMs: number) => number, isLow = false) {
  const pace = new ReadPace();
  let bytes = 0;
  let looks = 0;
  let atMs = 0;
  for (; atMs < totalMs; looks++) {
    const pauseMs = pace.pauseMs(isLow);
    atMs += pauseMs;
    const read = got(pauseMs);
    bytes += read;
    pace.looked(read);
  }
  return { bytes, looks };
}

it('a client that has stopped reading piles up 256 KB, then at most 1 KB a second', () => {
  const hourMs = 3_600_000;
  // Each look pulls as much from the node as one read gets.
  const { bytes } = lookFor(hourMs, () => PULLED_MAX);
  expect(bytes).toBeLessThan(256 * 1024 + 5 * PULLED_MAX + (hourMs / 1_000) * 1_024);
  // Also where the answer is near the end of its hold, when it is looked at most often.
  expect(lookFor(hourMs, () => PULLED_MAX, true).bytes).toBeLessThanOrEqual(bytes + 16 * PULLED_MAX);
});

it('an answer that its client reads is looked at often enough for its hold, at any speed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 2_000_000 }), (bytesPerSecond) => {
      const pace = new ReadPace();
      for (let look = 0; look < 1_000; look++) {
        const pauseMs = pace.pauseMs(false);
        // Half a window of 512 tokens, of 200 bytes or more each, must not pass between two looks, or a second is short enough.
        expect(pauseMs <= 1_000 || (bytesPerSecond * pauseMs) / 1_000 < 512 * 200).toBe(true);
        pace.looked(Math.floor((bytesPerSecond * pauseMs) / 1_000));
      }
    }),
    { numRuns: 50 },
  );
});

it('begins quickly and settles at a second', () => {
  const pace = new ReadPace();
  const pauses = Array.from({ length: 6 }, () => {
    const pauseMs = pace.pauseMs(false);
    pace.looked(1_000);
    return pauseMs;
  });
  expect(pauses).toEqual([100, 200, 400, 800, 1_000, 1_000]);
});
