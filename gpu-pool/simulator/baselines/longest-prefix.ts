import { fullness } from '../../../worker/domain/routing/wait-estimate.ts';
import { leastBy, type MakePolicy } from './request.ts';

/** Knows what every cache holds at this moment: the longest prefix decides, and among equals the emptiest node. */
export const longestPrefix: MakePolicy = () => (candidates, request) => {
  const longest = Math.max(...candidates.map(request.cachedAt));
  return leastBy(
    candidates.filter((candidate) => request.cachedAt(candidate) === longest),
    (candidate) => fullness(candidate, request.promptTokens)!,
  );
};
