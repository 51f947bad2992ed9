/** In a soak any process may be gone at any moment: what must be done is tried until it is. */
import { setTimeout as sleep } from 'node:timers/promises';

const REST_MS = 300;

/** @throws what the last try threw, when none succeeded within `withinMs` */
export async function insist<T>(work: () => Promise<T>, withinMs = 45_000): Promise<T> {
  for (const endMs = Date.now() + withinMs; ; ) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > endMs) throw error;
      await sleep(REST_MS);
    }
  }
}
