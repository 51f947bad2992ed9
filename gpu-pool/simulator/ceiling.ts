/**
 * The highest hit rate that any router could reach with caches of these sizes: that of one engine which has all
 * caches as one. It has the slots and speeds of all nodes too, so that requests hold their memory for as long as
 * they would.
 */
import { PROFILES, type Profile } from '../emulator/profiles.ts';
import type { Hardware } from '../protocol/schemas.ts';
import { roundRobin } from './baselines/round-robin.ts';
import { measure } from './measure.ts';
import { type ReplayOptions, replay } from './replay.ts';

/** @returns token hit rate, 0 to 1 */
export function ceilingHitRate(options: Omit<ReplayOptions, 'policySetup' | 'profiles'>): number {
  const [any] = options.hardware;
  const profiles = { ...PROFILES, [any!]: mergedProfile(options.hardware) };
  const policySetup = { make: roundRobin, oneRouter: true } as const;
  const queuedMax = options.queuedMax * options.hardware.length;
  return measure(replay({ ...options, queuedMax, hardware: [any!], policySetup, profiles })).hitRate;
}

function mergedProfile(hardware: readonly Hardware[]): Profile {
  const profiles = hardware.map((each): Profile => PROFILES[each]);
  const sum = (of: (profile: Profile) => number) => profiles.reduce((total, each) => total + of(each), 0);
  const slots = sum((each) => each.maxRunningRequests);
  /** The mean over running requests, which are at each node in proportion to its slots. */
  const mean = (of: (profile: Profile) => number) =>
    sum((each) => of(each) * each.maxRunningRequests) / slots;
  return {
    ...profiles[0]!,
    kvCapacityTokens: sum((each) => each.kvCapacityTokens),
    maxRunningRequests: slots,
    chunkedPrefillTokens: sum((each) => each.chunkedPrefillTokens),
    prefillTokensPerSecond: sum((each) => each.prefillTokensPerSecond),
    prefillBaseMs: mean((each) => each.prefillBaseMs),
    decodeBaseMs: mean((each) => each.decodeBaseMs),
    decodePerSequenceMs: mean((each) => (each.decodePerSequenceMs * each.maxRunningRequests) / slots),
  };
}
