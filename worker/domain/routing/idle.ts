/** How much of a pool is idle: what work that can wait may take without anybody noticing. */
import { isServing, type PoolSnapshot } from '../node.ts';

/** The rest is for whoever comes now: heartbeats are two seconds apart, and a burst must find places. */
const FILL_MAX = 0.75;

/** Requests that may be started now; nothing where anybody waits in a queue. */
export function idlePlaces({ nodes }: PoolSnapshot): number {
  return nodes.filter(isServing).reduce((sum, { load, share }) => {
    const isPressed = load.waiting_requests > 0 || load.used_tokens > FILL_MAX * load.capacity_tokens;
    const places = Math.floor(FILL_MAX * share * load.max_running_requests) - load.running_requests;
    return sum + (isPressed ? 0 : Math.max(0, places));
  }, 0);
}
