/** A node's health from what is known of it at an instant. */
import { HEARTBEAT_AGE_MS_MAX, type NodeHealth, type NodeReport } from '../node.ts';
import { isEjected, type Probation } from './ejection.ts';

export function healthOf(
  known: { lastHeartbeatMs: number; report: Pick<NodeReport, 'engineHealthy'>; probation: Probation },
  nowMs: number,
): NodeHealth {
  if (nowMs - known.lastHeartbeatMs > HEARTBEAT_AGE_MS_MAX) return 'silent';
  if (!known.report.engineHealthy) return 'engine_down';
  return isEjected(known.probation, nowMs) ? 'ejected' : 'up';
}
