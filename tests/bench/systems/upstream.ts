/** The upstream without a gateway: the limit of load generator and upstream themselves. */
import type { Upstream } from '../upstream.ts';
import { FORWARDS_ONLY, type System } from './system.ts';

export function upstreamItself({ port, pid }: Upstream): System {
  return { ...FORWARDS_ONLY, name: 'upstream', port, pids: [pid], stop: async () => undefined };
}
