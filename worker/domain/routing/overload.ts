/** Overload: when a node's queue is full, and when asking again has a chance. */
import type { NodeLoad } from '../../../gpu-pool/protocol/schemas.ts';
import type { NodeView } from '../node.ts';
import { OUTPUT_TOKENS_MEAN } from './wait.ts';

export const RETRY_AFTER_MS_MIN = 1_000;
export const RETRY_AFTER_MS_MAX = 30_000;

/**
 * Whether another request would be refused, or would wait longer than answers are worth. An engine that does not say how
 * long its queue may be (`--max-queued-requests`) has one as long as what it works on: a whole generation of waiting.
 */
export function isFull(load: NodeLoad): boolean {
  const queueMax = load.max_queued_requests ?? load.max_running_requests;
  if (queueMax > 0) return load.waiting_requests >= queueMax;
  // no queue at all, or an engine that says nothing of itself
  return load.max_running_requests > 0 && load.running_requests >= load.max_running_requests;
}

/** Until half of what waits at these nodes has been worked off: sooner everybody who was refused would be again. */
export function drainMs(nodes: readonly Pick<NodeView, 'load' | 'capacity'>[]): number {
  const waiting = nodes.reduce((sum, { load }) => sum + load.waiting_requests, 0);
  const tokensPerSecond = nodes.reduce((sum, { load, capacity }) => {
    return sum + (load.generation_tokens_per_second || capacity);
  }, 0);
  return usefulRetryAfterMs((1_000 * (waiting / 2) * OUTPUT_TOKENS_MEAN) / Math.max(1, tokensPerSecond));
}

/** Less is a hammer, and after more than this the pool is another one. */
export function usefulRetryAfterMs(ms: number): number {
  return Math.round(Math.min(RETRY_AFTER_MS_MAX, Math.max(RETRY_AFTER_MS_MIN, ms)));
}
