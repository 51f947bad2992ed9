/**
 * Keep-alive of client connections while an answer has nothing to send. Intermediaries close silent connections, and only a
 * write shows whether the client is still there. The edge keeps alive until the agent's first text; from then on the agent does.
 */
import { KEEP_ALIVE_MS } from '../../../gpu-pool/answers/keep-alive.ts';
import { KEEP_ALIVE } from '../../../gpu-pool/answers/marks.ts';
import type { Deadline } from '../node/deadlines.ts';

/** Most answers begin within this time. Only after it does the caller start to listen for a disconnect, which costs time. */
const WAITING_AFTER_MS = 250;
/**
 * The first keep-alive is sent after this time. Until then nothing has been written, so a failure can have its own HTTP
 * status.
 */
export const GRACE_MS = 5_000;

/** Keep-alives as DeepSeek's API sends them: readers of events and of JSON skip them. */
export const ALIVE = { event: `${KEEP_ALIVE}\n\n`, json: '\n' };

/**
 * @param onWaiting called once, when the result takes longer than `WAITING_AFTER_MS`
 * @returns the result, or null when it takes longer than `GRACE_MS`
 */
export async function withinGrace<T extends object>(
  result: Promise<T>,
  deadline: Deadline,
  onWaiting: () => void,
): Promise<T | null> {
  try {
    const early = await Promise.race([result, elapsed(deadline, WAITING_AFTER_MS)]);
    if (early !== null) return early;
    onWaiting();
    return await Promise.race([result, elapsed(deadline, GRACE_MS - WAITING_AFTER_MS)]);
  } finally {
    deadline.clear();
  }
}

/** Calls `write` at once and then again and again until the result is there. */
export async function keepAliveUntil<T extends object>(
  result: Promise<T>,
  deadline: Deadline,
  write: () => void,
): Promise<T> {
  try {
    for (;;) {
      write();
      const ready = await Promise.race([result, elapsed(deadline, KEEP_ALIVE_MS)]);
      if (ready !== null) return ready;
    }
  } finally {
    deadline.clear();
  }
}

function elapsed(deadline: Deadline, ms: number): Promise<null> {
  return new Promise((resolve) => deadline.set(Date.now() + ms, () => resolve(null)));
}
