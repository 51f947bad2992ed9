/** A node's health, from its last heartbeat and its circuit breaker. */
import { HEARTBEAT_AGE_MS_MAX, type NodeHealth, type NodeReport } from '../node.ts';
import { type Breaker, phaseOf } from './breaker.ts';

export function healthOf(
  known: { lastHeartbeatMs: number; report: Pick<NodeReport, 'engineHealthy'>; breaker: Breaker },
  nowMs: number,
): NodeHealth {
  if (nowMs - known.lastHeartbeatMs > HEARTBEAT_AGE_MS_MAX) return 'silent';
  if (!known.report.engineHealthy) return 'engine_down';
  return phaseOf(known.breaker, nowMs) === 'open' ? 'ejected' : 'up';
}

/** Whether the node has no heartbeat or no engine. A request to it would fail, so none is tried. */
export function isUnreachable(health: NodeHealth): boolean {
  return health === 'silent' || health === 'engine_down';
}
