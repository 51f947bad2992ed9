/**
 * L6: no second dispatch once any byte of an answer has left for the client; at most 3 attempts; retries are at most
 * 20 % of an isolate's active requests and 3.
 */
import { boundsOf, findings, groupBy } from './books.ts';
import type { Law } from './world.ts';

const ATTEMPTS_MAX = 3;
const RETRY_SHARE = 0.2;
const RETRIES_ALWAYS = 3;

export const dispatches: Law = (world) => {
  const { found, say } = findings('L6');
  const { unseenActive } = boundsOf(world);
  for (const [requestId, attempts] of groupBy(world.dispatches ?? [], ({ requestId }) => requestId)) {
    if (attempts.length > ATTEMPTS_MAX) say(requestId, `went to nodes ${attempts.length} times`);
    attempts
      .toSorted((a, b) => a.atMs - b.atMs)
      .slice(1)
      .forEach(({ nodeId, byteLeftBefore, active, retrying }) => {
        if (byteLeftBefore) say(requestId, `went to ${nodeId} after a byte of its answer had left`);
        // the one that begins now is among the active, and may be what fills the budget
        const budget = RETRIES_ALWAYS + RETRY_SHARE * ((active ?? 0) + 1 + unseenActive);
        if (active !== undefined && retrying !== undefined && retrying > budget)
          say(requestId, `went to ${nodeId} as a retry beside ${retrying} others among ${active} requests`);
      });
  }
  return found;
};
