/**
 * Every policy by its name: the one that serves, those that other routers use, and a router that knows everything.
 */
import { affinity } from '../../worker/domain/routing/affinity.ts';
import { cacheAware } from './baselines/cache-aware.ts';
import { leastLoad } from './baselines/least-load.ts';
import { longestPrefix } from './baselines/longest-prefix.ts';
import { powerOfTwo } from './baselines/power-of-two.ts';
import { prefixHashBounded } from './baselines/prefix-hash-bounded.ts';
import { random } from './baselines/random.ts';
import type { MakePolicy } from './baselines/request.ts';
import { roundRobin } from './baselines/round-robin.ts';

export interface PolicySetup {
  readonly make: MakePolicy;
  /**
   * Set for a policy with a single router, which every request goes through and which sees every node's current
   * state.
   */
  readonly oneRouter?: true;
}

export const POLICIES = {
  affinity: { make: () => affinity },
  /** The serving policy without the memory of which node served a conversation. */
  affinity_without_homes: { make: () => (all, request) => affinity(all, { ...request, home: null }) },
  random: { make: random },
  round_robin: { make: roundRobin },
  power_of_two: { make: powerOfTwo },
  least_load: { make: leastLoad },
  prefix_hash_bounded: { make: prefixHashBounded },
  cache_aware: { make: cacheAware },
  cache_aware_one_router: { make: cacheAware, oneRouter: true },
  longest_prefix_one_router: { make: longestPrefix, oneRouter: true },
} satisfies Record<string, PolicySetup>;
export type PolicyName = keyof typeof POLICIES;
