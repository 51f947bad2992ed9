/** The checker of the laws of money. Unit histories, the simulation and the soak test all run it at their end. */
import { openings, withFoldedEntries } from './folded-entries.ts';
import { sums } from './l01-sums.ts';
import { funded } from './l02-funded.ts';
import { ends } from './l03-ends.ts';
import { holds } from './l04-holds.ts';
import { tokens } from './l05-tokens.ts';
import { dispatches } from './l06-dispatches.ts';
import { billed } from './l07-billed.ts';
import { failures } from './l08-failures.ts';
import { payments } from './l09-payments.ts';
import { projections } from './l10-projections.ts';
import { tenants } from './l11-tenants.ts';
import { revoked } from './l12-revoked.ts';
import { rest } from './l13-rest.ts';
import type { Law, LawName, Violation, World } from './world.ts';

export type { LawName, Violation, World } from './world.ts';

const CHECKS: Record<LawName, Law> = {
  L1: sums,
  L2: funded,
  L3: ends,
  L4: holds,
  L5: tokens,
  L6: dispatches,
  L7: billed,
  L8: failures,
  L9: payments,
  L10: projections,
  L11: tenants,
  L12: revoked,
  L13: rest,
};

/** Every violation of a law in the known part of a world; empty when there is none. */
export function brokenLaws(world: World): Violation[] {
  const whole = withFoldedEntries(world);
  return [
    ...(world.observed ?? []),
    ...openings(world),
    ...Object.values(CHECKS).flatMap((check) => check(whole)),
  ];
}
