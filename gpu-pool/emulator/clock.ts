/** Engine time: real, faster than real, or virtual. Every delay of the scheduler goes through a clock. */

export interface Clock {
  /** Milliseconds of engine time since the clock was created. */
  nowMs(): number;
  /**
   * Resolves when engine time has reached `atMs`. It always yields to the event loop, so that sockets are served.
   */
  sleepUntil(atMs: number): Promise<void>;
}

/** `speed` 1 is real time, 20 is twenty times faster, 0 never waits. */
export function createClock(speed: number): Clock {
  return speed === 0 ? virtualClock() : scaledClock(speed);
}

/** Virtual time, which advances only by being slept: deterministic, and as fast as the machine. */
export function virtualClock(): Clock {
  let nowMs = 0;
  return {
    nowMs: () => nowMs,
    sleepUntil(atMs) {
      nowMs = Math.max(nowMs, atMs);
      return new Promise((resolve) => setImmediate(resolve));
    },
  };
}

function scaledClock(speed: number): Clock {
  const startedMs = performance.now();
  const nowMs = () => (performance.now() - startedMs) * speed;
  return {
    nowMs,
    sleepUntil(atMs) {
      const waitMs = (atMs - nowMs()) / speed;
      return new Promise((resolve) => {
        // Below a millisecond a timer would oversleep (Node rounds up to 1 ms); the scheduler catches up.
        if (waitMs < 0.5) setImmediate(resolve);
        else setTimeout(resolve, waitMs);
      });
    },
  };
}
