import { leastBy, type MakePolicy, requestsAt } from './request.ts';

/** Chooses two nodes at random, and takes the one with fewer requests (SGLang router, `power_of_two`). */
export const powerOfTwo: MakePolicy = (random) => (candidates) => {
  const pick = () => candidates[Math.floor(random() * candidates.length)];
  return leastBy(
    [pick(), pick()].filter((candidate) => candidate !== undefined),
    requestsAt,
  );
};
