/**
 * The limits of a real queue, which the local one does not have: a batch that passes here would be refused in production.
 * https://developers.cloudflare.com/queues/platform/limits/
 */
const BATCH_MESSAGES_MAX = 100;
const BATCH_BYTES_MAX = 256_000;
/** Some 100 bytes of it are the platform's own. */
const MESSAGE_BYTES_MAX = 128_000;
const METADATA_BYTES = 100;

/** @throws Error where a real queue refuses the message */
export function checkMessage(body: unknown): void {
  const bytes = bytesOf(body);
  if (bytes > MESSAGE_BYTES_MAX)
    throw new Error(`a queue's message has ${bytes} bytes of ${MESSAGE_BYTES_MAX}`);
}

/** @throws Error where a real queue refuses the batch */
export function checkBatch(messages: Iterable<{ readonly body: unknown }>): void {
  const bodies = [...messages].map(({ body }) => body);
  if (bodies.length > BATCH_MESSAGES_MAX)
    throw new Error(`a queue's batch has ${bodies.length} messages of ${BATCH_MESSAGES_MAX}`);
  for (const body of bodies) checkMessage(body);
  const bytes = bodies.reduce<number>((sum, body) => sum + bytesOf(body), 0);
  if (bytes > BATCH_BYTES_MAX) throw new Error(`a queue's batch has ${bytes} bytes of ${BATCH_BYTES_MAX}`);
}

function bytesOf(body: unknown): number {
  return new TextEncoder().encode(JSON.stringify(body)).length + METADATA_BYTES;
}
