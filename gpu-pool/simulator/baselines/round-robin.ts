import type { MakePolicy } from './request.ts';

/** One after the other; where in the circle a router begins is chance. */
export const roundRobin: MakePolicy = (random) => {
  let turn = Math.floor(random() * 1_000_000);
  return (candidates) => candidates[turn++ % candidates.length] ?? null;
};
