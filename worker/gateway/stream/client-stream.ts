/**
 * A response body that the client pulls. When the client disconnects, its source is still consumed to its end, so that the
 * request is metered and settled.
 */

/**
 * How far an answer may run ahead of its reader: several thousand tokens. The engine does not wait for a slow reader, so the
 * sooner its tokens are metered, the sooner it is stopped when credit runs out. It is bounded because an isolate has 128 MB.
 */
const READ_AHEAD_BYTES = 256 * 1024;

/**
 * @param first the text that was already taken from the source
 * @param source the remaining texts; they are pulled as fast as the client reads, plus `READ_AHEAD_BYTES`
 * @param onDisconnect called when the client disconnects before the end
 * @returns the body, and a promise for `waitUntil` that settles when the source has ended
 */
export function clientStream(
  first: string,
  source: AsyncGenerator<string, void>,
  onDisconnect: () => void,
): { body: ReadableStream<Uint8Array>; ended: Promise<void> } {
  const encoder = new TextEncoder();
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  let isDisconnected = false;
  const underlying: UnderlyingSource<Uint8Array> = {
    start(controller) {
      controller.enqueue(encoder.encode(first));
    },
    async pull(controller) {
      try {
        const { done, value } = await source.next();
        // the client disconnected during this pull: cancel() consumes the rest
        if (isDisconnected) return;
        if (!done) return controller.enqueue(encoder.encode(value));
        resolve();
        controller.close();
      } catch (error) {
        resolve();
        controller.error(error);
      }
    },
    async cancel() {
      isDisconnected = true;
      onDisconnect();
      try {
        while (!(await source.next()).done);
      } finally {
        resolve();
      }
    },
  };
  const body = new ReadableStream(
    underlying,
    new ByteLengthQueuingStrategy({ highWaterMark: READ_AHEAD_BYTES }),
  );
  return { body, ended };
}
