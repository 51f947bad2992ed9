/**
 * A word now and then while there is nothing to say: connections that are silent get closed on the way, and what is
 * written shows whether anybody still listens.
 */
import type { Deadline } from '../node/deadlines.ts';
import type { ClientChunk } from './client-chunk.ts';

/** Most pieces are there by then; who waits longer may be gone. */
const WAITING_MS = 250;
/** Until the first one a failure still has its own status … */
export const GRACE_MS = 5_000;
/** … after it, each shows within a second that the client has left, and the engine can stop. */
const EVERY_MS = 1_000;

/**
 * The pieces, and `blank` ones for as long as the next piece keeps waiting.
 * @param alarm of the request's
 * @param onWaiting called once, if all of it takes longer than a moment
 */
export async function* keptAlive(
  pieces: AsyncGenerator<ClientChunk, void>,
  alarm: Deadline,
  onWaiting: () => void = () => {},
): AsyncGenerator<ClientChunk, void> {
  const tick = new Tick(alarm);
  try {
    tick.set(WAITING_MS);
    let isWaiting = false;
    let saidSinceTick = false;
    let next = pieces.next();
    for (;;) {
      const step = await Promise.race([next, tick.over]);
      if (step === TICK && !isWaiting) {
        isWaiting = true;
        onWaiting();
        tick.set(GRACE_MS - WAITING_MS);
        continue;
      }
      if (step === TICK) {
        tick.set(EVERY_MS);
        if (!saidSinceTick) yield { kind: 'blank' };
        saidSinceTick = false;
        continue;
      }
      if (step.done) return;
      saidSinceTick = true;
      yield step.value;
      next = pieces.next();
    }
  } finally {
    tick.clear();
  }
}

const TICK = Symbol('a second is over');

/** Once a second, not once a chunk: there are hundreds of chunks. */
class Tick {
  over: Promise<typeof TICK> = Promise.resolve(TICK);
  readonly #alarm: Deadline;

  constructor(alarm: Deadline) {
    this.#alarm = alarm;
  }

  set(ms: number): void {
    const { promise, resolve } = Promise.withResolvers<typeof TICK>();
    this.over = promise;
    this.#alarm.set(Date.now() + ms, () => resolve(TICK));
  }

  clear(): void {
    this.#alarm.clear();
  }
}
