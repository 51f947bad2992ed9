/** Idle capacity of a pool: how many background requests it can take without slowing interactive ones. */
import { isServing, type PoolSnapshot } from '../node.ts';

/**
 * Background work fills a node up to this. The rest stays free for a burst of
 * interactive requests between two heartbeats.
 */
const FILL_MAX = 0.75;

/** Number of background requests that may be started now. A node with requests in its queue takes none. */
export function idleSlots({ nodes }: PoolSnapshot): number {
  return nodes.filter(isServing).reduce((sum, { load, share }) => {
    const isBusy = load.waiting_requests > 0 || load.used_tokens > FILL_MAX * load.capacity_tokens;
    const slots = Math.floor(FILL_MAX * share * load.max_running_requests) - load.running_requests;
    return sum + (isBusy ? 0 : Math.max(0, slots));
  }, 0);
}
