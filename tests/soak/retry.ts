/** Retries for a soak, where any process may be down at any moment. */
import { setTimeout as sleep } from 'node:timers/promises';

const REST_MS = 300;

/** Repeats `work` until it succeeds. @throws the last error, when none succeeded within `withinMs` */
export async function retryFor<T>(work: () => Promise<T>, withinMs = 45_000): Promise<T> {
  for (const endMs = Date.now() + withinMs; ; ) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > endMs) throw error;
      await sleep(REST_MS);
    }
  }
}
