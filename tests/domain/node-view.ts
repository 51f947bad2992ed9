/** The node that tests of routing start from: up, idle, and alone with its weight. */
import type { NodeView } from '../../worker/domain/node.ts';

export const IDLE: NodeView['load'] = {
  running_requests: 0,
  waiting_requests: 0,
  waiting_tokens: 0,
  used_tokens: 0,
  capacity_tokens: 1_000_000,
  max_running_requests: 256,
  max_queued_requests: null,
  generation_tokens_per_second: 0,
  cache_hit_rate: 0,
};

export function nodeView(id: string, over: Partial<NodeView> = {}): NodeView {
  return {
    id,
    name: id,
    modelId: 'm',
    hardware: '8xh200',
    url: `http://${id}`,
    capacity: 1_000,
    state: 'active',
    revision: 0,
    health: 'up',
    share: 1,
    weight: 1_000,
    draining: false,
    lastHeartbeatMs: 0,
    inFlight: 0,
    load: IDLE,
    ...over,
  };
}
