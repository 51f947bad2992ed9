/**
 * L8: a request that failed with no output costs 0. A client that left, or whose connection broke, may have caused
 * the work and pays for it; one that was told of a failure before any output pays nothing.
 */
import { findings, requestsOf } from './books.ts';
import type { Law } from './world.ts';

export const failures: Law = (world) => {
  const { found, say } = findings('L8');
  const requests = requestsOf(world);
  for (const { requestId, ending, deliveredTokens, status } of world.clients ?? []) {
    if (ending !== 'error' && ending !== 'refused') continue;
    if (requestId === null || deliveredTokens !== 0) continue;
    const charge = requests.get(requestId)?.row.charge_nano_usd ?? 0;
    if (charge !== 0) say(requestId, `failed (${status}) without output and cost ${charge}`);
  }
  return found;
};
