/** The upstream asked directly: what load generator and upstream can do by themselves. */
import type { Upstream } from '../upstream.ts';
import { PASSES_ON, type System } from './system.ts';

export function upstreamItself({ port, pid }: Upstream): System {
  return { ...PASSES_ON, name: 'upstream', port, pids: [pid], stop: async () => undefined };
}
