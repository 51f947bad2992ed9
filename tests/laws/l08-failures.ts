/**
 * L8: a request that failed without output costs 0. A client that disconnected, or whose connection broke, pays for the
 * work that was done until then; a client that got an error before any output pays nothing.
 */

import type { Law } from './world.ts';
import { findings, requestsOf } from './world-views.ts';

export const failures: Law = (world) => {
  const { found, report } = findings('L8');
  const requests = requestsOf(world);
  for (const { requestId, ending, deliveredTokens, status } of world.clients ?? []) {
    if (ending !== 'error' && ending !== 'refused') continue;
    if (requestId === null || deliveredTokens !== 0) continue;
    const charge = requests.get(requestId)?.row.charge_nano_usd ?? 0;
    if (charge !== 0) report(requestId, `failed (${status}) without output and cost ${charge}`);
  }
  return found;
};
