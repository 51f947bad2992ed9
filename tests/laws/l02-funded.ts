/**
 * L2: posted + held ≤ funded at every commit; overshoot is 0. This checks
 * the last commit, commit-observer.ts every one.
 */

import type { AccountRows, Law, Violation } from './world.ts';
import { findings } from './world-views.ts';

export const funded: Law = (world) => world.accounts.flatMap(overshoot);

/** Violations of an account that has promised more than it has. */
export function overshoot({
  accountId,
  credit,
  entry,
  request,
  lease,
}: Pick<AccountRows, 'accountId' | 'credit' | 'entry' | 'request' | 'lease'>): Violation[] {
  const { found, report } = findings('L2');
  if (credit) {
    const { granted_nano_usd: granted, paid_nano_usd: paid, held_nano_usd: held } = credit;
    if (granted < 0 || paid < 0 || held < 0)
      report(accountId, `has ${granted} granted, ${paid} paid, ${held} held`);
    if (held > granted + paid) report(accountId, `holds ${held} of ${granted + paid}`);
    const promised = heldBy({ request, lease });
    if (promised !== null && promised > held)
      report(accountId, `holds ${held}, but its requests and leases count on ${promised}`);
  }
  for (const { seq, balance_nano_usd } of entry ?? [])
    if (balance_nano_usd < 0) report(accountId, `had ${balance_nano_usd} after entry ${seq}`);
  return found;
}

/** Sum of the holds of running requests and of open leases; null: not known. */
export function heldBy({ request, lease }: Pick<AccountRows, 'request' | 'lease'>): number | null {
  if (!request) return null;
  let sum = 0;
  for (const { state, held_nano_usd } of request) if (state === 'held') sum += held_nano_usd;
  for (const { held_nano_usd } of lease ?? []) sum += held_nano_usd;
  return sum;
}
