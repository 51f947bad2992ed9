/** Sends any number of messages to a queue, of which one `sendBatch` takes at most a hundred. */

/**
 * Cloudflare Queues takes at most 100 messages and 256 KB in one `sendBatch`. Tasks are ids, and an e-mail's is its words:
 * a hundred of them stay far below the bytes, so only the count is cut.
 * https://developers.cloudflare.com/queues/platform/limits/
 */
const BATCH_MESSAGES_MAX = 100;

/** Sends the bodies in slices, one after the other. When a slice fails, those before it are sent: tasks are safe to repeat. */
export async function sendAll<T>(queue: Pick<Queue<T>, 'sendBatch'>, bodies: readonly T[]): Promise<void> {
  for (let from = 0; from < bodies.length; from += BATCH_MESSAGES_MAX)
    await queue.sendBatch(bodies.slice(from, from + BATCH_MESSAGES_MAX).map((body) => ({ body })));
}
