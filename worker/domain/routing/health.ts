/** A node's health from what is known of it at an instant. */
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

/** Nobody answers there: no request can find out otherwise. */
export function isGone(health: NodeHealth): boolean {
  return health === 'silent' || health === 'engine_down';
}
