/**
 * A word now and then while there is nothing to say: connections that are silent get closed on the way, and what is
 * written shows whether anybody still listens.
 */
import type { Piece } from './answer.ts';

/** Until the first one a failure still has its own status … */
const GRACE_MS = 5_000;
/** … after it, each shows within a second that the client has left, and the engine can stop. */
const EVERY_MS = 1_000;

/** The pieces, and `blank` ones for as long as the next piece keeps waiting. */
export async function* keptAlive(pieces: AsyncGenerator<Piece, void>): AsyncGenerator<Piece, void> {
  const tick = new Tick();
  try {
    tick.set(GRACE_MS);
    let saidSinceTick = false;
    let next = pieces.next();
    for (;;) {
      const step = await Promise.race([next, tick.over]);
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

/** One timer a second, not one a chunk: there are hundreds of chunks. */
class Tick {
  over: Promise<typeof TICK> = Promise.resolve(TICK);
  #timer: ReturnType<typeof setTimeout> | undefined;

  set(ms: number): void {
    this.over = new Promise((resolve) => {
      this.#timer = setTimeout(() => resolve(TICK), ms);
    });
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}
