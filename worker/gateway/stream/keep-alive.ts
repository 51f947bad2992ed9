/**
 * Keep-alive of client connections while an answer has nothing to send. Intermediaries close silent connections, and only a
 * write shows whether the client is still there.
 */
import type { Deadline } from '../node/deadlines.ts';
import type { ClientChunk } from './client-chunk.ts';

/**
 * Most first chunks arrive within this time. Only after it does the caller start to listen for a disconnect, which costs
 * time.
 */
const WAITING_AFTER_MS = 250;
/**
 * The first keep-alive is sent after this time. Until then nothing has been written, so a failure can have its own HTTP
 * status.
 */
export const GRACE_MS = 5_000;
/** Keep-alives follow at this interval, so a disconnect is noticed within a second and the engine can be stopped. */
const EVERY_MS = 1_000;
/**
 * One interval in so many may have a sign of life as an event: clients count events within minutes (Codex within five), and one
 * of the Responses API repeats the request's instructions and tools, which may be 100 KB.
 */
const SIGN_EVERY = 10;

/**
 * Passes chunks on and yields `keep_alive` ones for as long as the next chunk is not there.
 * @param deadline one of the request's deadlines, for the use of this function alone
 * @param onWaiting called once, when the answer takes longer than `WAITING_AFTER_MS`
 */
export async function* withKeepAlive(
  chunks: AsyncGenerator<ClientChunk, void>,
  deadline: Deadline,
  onWaiting: () => void = () => {},
): AsyncGenerator<ClientChunk, void> {
  const tick = new Tick(deadline);
  try {
    tick.set(WAITING_AFTER_MS);
    let isWaiting = false;
    let sentSinceTick = false;
    let ticksSinceSign = SIGN_EVERY;
    let next = chunks.next();
    for (;;) {
      const step = await Promise.race([next, tick.elapsed]);
      if (step === TICK && !isWaiting) {
        isWaiting = true;
        onWaiting();
        tick.set(GRACE_MS - WAITING_AFTER_MS);
        continue;
      }
      if (step === TICK) {
        tick.set(EVERY_MS);
        ticksSinceSign += 1;
        const sign = !sentSinceTick && ticksSinceSign >= SIGN_EVERY;
        if (sign) ticksSinceSign = 0;
        if (!sentSinceTick) yield { kind: 'keep_alive', sign };
        sentSinceTick = false;
        continue;
      }
      if (step.done) return;
      sentSinceTick = true;
      yield step.value;
      next = chunks.next();
    }
  } finally {
    tick.clear();
  }
}

const TICK = Symbol('tick');

/** A timer that is set once per second, not once per chunk, because an answer has hundreds of chunks. */
class Tick {
  elapsed: Promise<typeof TICK> = Promise.resolve(TICK);
  readonly #deadline: Deadline;

  constructor(deadline: Deadline) {
    this.#deadline = deadline;
  }

  set(ms: number): void {
    const { promise, resolve } = Promise.withResolvers<typeof TICK>();
    this.elapsed = promise;
    this.#deadline.set(Date.now() + ms, () => resolve(TICK));
  }

  clear(): void {
    this.#deadline.clear();
  }
}
