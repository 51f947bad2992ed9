/** Overload: when a node's queue is full, and after how long a refused client should retry. */
import type { NodeLoad } from '../../../gpu-pool/protocol/schemas.ts';
import type { NodeView } from '../node.ts';
import { OUTPUT_TOKENS_MEAN } from './wait-estimate.ts';

export const RETRY_AFTER_MS_MIN = 1_000;
export const RETRY_AFTER_MS_MAX = 30_000;

/**
 * Whether a node would refuse another request, or let it wait too long. When the engine does not report its queue limit
 * (`--max-queued-requests`), the queue counts as full at as many requests as can run: the wait is then a whole generation.
 */
export function isFull(load: NodeLoad): boolean {
  const queueMax = load.max_queued_requests ?? load.max_running_requests;
  if (queueMax > 0) return load.waiting_requests >= queueMax;
  // The limit is 0: the engine has no queue, or does not report its sizes.
  return load.max_running_requests > 0 && load.running_requests >= load.max_running_requests;
}

/**
 * Time until half of the requests that wait at these nodes are done. After
 * less, most refused clients would be refused again.
 */
export function halfDrainMs(nodes: readonly Pick<NodeView, 'load' | 'capacity'>[]): number {
  const waiting = nodes.reduce((sum, { load }) => sum + load.waiting_requests, 0);
  const tokensPerSecond = nodes.reduce((sum, { load, capacity }) => {
    return sum + (load.generation_tokens_per_second || capacity);
  }, 0);
  return clampRetryAfterMs((1_000 * (waiting / 2) * OUTPUT_TOKENS_MEAN) / Math.max(1, tokensPerSecond));
}

/**
 * Bounds a retry time: below 1 s retries become a flood, and beyond 30 s the
 * estimate means nothing, as the pool has changed.
 */
export function clampRetryAfterMs(ms: number): number {
  return Math.round(Math.min(RETRY_AFTER_MS_MAX, Math.max(RETRY_AFTER_MS_MIN, ms)));
}
