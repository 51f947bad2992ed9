/** L2: posted + held ≤ funded at every commit; overshoot is 0. commit-witness.ts looks at every commit, this at the last. */
import { findings } from './books.ts';
import type { AccountBooks, Law, Violation } from './world.ts';

export const funded: Law = (world) => world.accounts.flatMap(overshoot);

/** What an account has promised beyond what it has. */
export function overshoot({
  accountId,
  credit,
  entry,
  request,
  lease,
}: Pick<AccountBooks, 'accountId' | 'credit' | 'entry' | 'request' | 'lease'>): Violation[] {
  const { found, say } = findings('L2');
  if (credit) {
    const { granted_nano_usd: granted, paid_nano_usd: paid, held_nano_usd: held } = credit;
    if (granted < 0 || paid < 0 || held < 0)
      say(accountId, `has ${granted} granted, ${paid} paid, ${held} held`);
    if (held > granted + paid) say(accountId, `holds ${held} of ${granted + paid}`);
    const promised = heldBy({ request, lease });
    if (promised !== null && promised > held)
      say(accountId, `holds ${held}, but its requests and leases count on ${promised}`);
  }
  for (const { seq, balance_nano_usd } of entry ?? [])
    if (balance_nano_usd < 0) say(accountId, `had ${balance_nano_usd} after entry ${seq}`);
  return found;
}

/** Sum of the holds of running requests and of open leases; null: not known. */
export function heldBy({ request, lease }: Pick<AccountBooks, 'request' | 'lease'>): number | null {
  if (!request) return null;
  let sum = 0;
  for (const { state, held_nano_usd } of request) if (state === 'held') sum += held_nano_usd;
  for (const { held_nano_usd } of lease ?? []) sum += held_nano_usd;
  return sum;
}
