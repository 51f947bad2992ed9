/**
 * L6: there is no second dispatch once a byte of an answer has left for the client; a request has at most 3 attempts; an
 * isolate's retries are at most 20 % of its active requests, plus 3.
 */

import type { Law } from './world.ts';
import { boundsOf, findings, groupBy } from './world-views.ts';

const ATTEMPTS_MAX = 3;
const RETRY_SHARE = 0.2;
const RETRIES_ALWAYS = 3;

export const dispatches: Law = (world) => {
  const { found, report } = findings('L6');
  const { unseenActive } = boundsOf(world);
  for (const [requestId, attempts] of groupBy(world.dispatches ?? [], ({ requestId }) => requestId)) {
    if (attempts.length > ATTEMPTS_MAX) report(requestId, `went to nodes ${attempts.length} times`);
    attempts
      .toSorted((a, b) => a.atMs - b.atMs)
      .slice(1)
      .forEach(({ nodeId, byteLeftBefore, active, retrying }) => {
        if (byteLeftBefore) report(requestId, `went to ${nodeId} after a byte of its answer had left`);
        // The retry that begins now counts among the active requests, and may take the last of the budget.
        const budget = RETRIES_ALWAYS + RETRY_SHARE * ((active ?? 0) + 1 + unseenActive);
        if (active !== undefined && retrying !== undefined && retrying > budget)
          report(
            requestId,
            `went to ${nodeId} as a retry beside ${retrying} others among ${active} requests`,
          );
      });
  }
  return found;
};
