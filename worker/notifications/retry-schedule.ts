/**
 * Retry schedule of failed deliveries, as Standard Webhooks 1.0.0 recommends it: ten attempts over three days. Every
 * delay fits into the longest delay of a Cloudflare queue (24 h), and their sum into its retention (four days).
 */

const S_MS = 1_000;
const MIN_MS = 60 * S_MS;
const H_MS = 60 * MIN_MS;

const DELAYS_MS = [
  5 * S_MS,
  5 * MIN_MS,
  30 * MIN_MS,
  2 * H_MS,
  5 * H_MS,
  10 * H_MS,
  14 * H_MS,
  20 * H_MS,
  24 * H_MS,
];

export const ATTEMPTS_MAX = DELAYS_MS.length + 1;

/** Upper bound of a receiver's Retry-After: even if it replaced every shorter delay, the queue's retention would hold. */
const RETRY_AFTER_MAX_MS = 4 * H_MS;

/**
 * @param attempts made so far, the last of them just now
 * @param retryAfterMs what the receiver asked for
 * @param random 0 to 1: brings the retry forward by up to a tenth, so that deliveries that failed together spread out
 * @returns null: no attempt is left
 */
export function nextDelayMs(
  attempts: number,
  { retryAfterMs = 0, random }: { retryAfterMs?: number; random: number },
): number | null {
  const delayMs = DELAYS_MS[attempts - 1];
  if (delayMs === undefined) return null;
  const jitteredMs = Math.round(delayMs * (1 - random / 10));
  return Math.max(jitteredMs, Math.min(retryAfterMs, RETRY_AFTER_MAX_MS));
}
