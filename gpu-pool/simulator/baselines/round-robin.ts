import type { MakePolicy } from './request.ts';

/** One node after the other; each router begins at a random one. */
export const roundRobin: MakePolicy = (random) => {
  let turn = Math.floor(random() * 1_000_000);
  return (candidates) => candidates[turn++ % candidates.length] ?? null;
};
