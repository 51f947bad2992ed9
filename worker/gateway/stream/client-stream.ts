/** A response body that the client pulls. When the client leaves, its source is still run to its end. */

/**
 * How far an answer may be ahead of its reader: some thousand tokens. The engine does not wait for a slow reader, so the
 * sooner its tokens are metered, the sooner it is stopped where credit ends. Bounded, because isolates have 128 MB.
 */
const AHEAD_BYTES = 256 * 1024;

/**
 * @param first what was taken from the source already
 * @param source written text by text, as fast as the client reads and `AHEAD_BYTES` more
 * @param onGone called when the client left before the end
 * @returns the body, and a promise for `waitUntil` that settles when the source has ended
 */
export function clientStream(
  first: string,
  source: AsyncGenerator<string, void>,
  onGone: () => void,
): { body: ReadableStream<Uint8Array>; ended: Promise<void> } {
  const encoder = new TextEncoder();
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  let gone = false;
  const answer: UnderlyingSource<Uint8Array> = {
    start(controller) {
      controller.enqueue(encoder.encode(first));
    },
    async pull(controller) {
      try {
        const { done, value } = await source.next();
        // what was being pulled when the client left: cancel() sees to the rest
        if (gone) return;
        if (!done) return controller.enqueue(encoder.encode(value));
        resolve();
        controller.close();
      } catch (error) {
        resolve();
        controller.error(error);
      }
    },
    async cancel() {
      gone = true;
      onGone();
      try {
        while (!(await source.next()).done);
      } finally {
        resolve();
      }
    },
  };
  const body = new ReadableStream(answer, new ByteLengthQueuingStrategy({ highWaterMark: AHEAD_BYTES }));
  return { body, ended };
}
