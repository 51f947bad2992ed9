/** L4: posted ≤ held at that moment; the rest of the hold is released in the same transaction. */

import { heldBy } from './l02-funded.ts';
import type { AccountRows, Law, Violation } from './world.ts';
import { findings } from './world-views.ts';

export const holds: Law = (world) =>
  world.accounts.flatMap((account) => [
    ...unreleased(account),
    ...chargedWithinHold(account),
    ...tokensWithinCap(account),
  ]);

/** Violations of an account that holds credit for no running request: the rest of a hold was not released. */
export function unreleased({
  accountId,
  credit,
  request,
  lease,
}: Pick<AccountRows, 'accountId' | 'credit' | 'request' | 'lease'>): Violation[] {
  const { found, report } = findings('L4');
  const promised = heldBy({ request, lease });
  if (credit && promised !== null && credit.held_nano_usd > promised)
    report(accountId, `holds ${credit.held_nano_usd}, its running requests and leases only ${promised}`);
  return found;
}

function chargedWithinHold({ request, lease, ends }: AccountRows): Violation[] {
  const { found, report, equal } = findings('L4');
  for (const { lease_id, held_nano_usd, ended_at_ms } of lease ?? [])
    if (ended_at_ms !== null) equal(lease_id, 'what it still holds', held_nano_usd, 0);
  for (const { request_id, charge_nano_usd, drawn_nano_usd } of request ?? [])
    if (typeof drawn_nano_usd === 'number' && charge_nano_usd > drawn_nano_usd)
      report(request_id, `was charged ${charge_nano_usd} of ${drawn_nano_usd} in its lease`);
  for (const row of request ?? [])
    if (row.state !== 'held') equal(row.request_id, 'what it still holds', row.held_nano_usd, 0);
  for (const end of ends ?? []) {
    if (end.charge_nano_usd > end.held_before_nano_usd)
      report(end.request_id, `was charged ${end.charge_nano_usd} of a hold of ${end.held_before_nano_usd}`);
    if (end.held_after_nano_usd !== 0) report(end.request_id, `kept ${end.held_after_nano_usd} of its hold`);
  }
  return found;
}

/** A token holds what its requests hold, and never exceeds its cap. */
function tokensWithinCap({ request, token_spend }: AccountRows): Violation[] {
  const { found, report, equal } = findings('L4');
  for (const { token_id, spent_nano_usd, held_nano_usd } of token_spend ?? []) {
    const ownRequests = (request ?? []).filter((row) => row.token_id === token_id);
    const held = ownRequests.reduce((sum, row) => sum + row.held_nano_usd, 0);
    equal(token_id, 'what it holds', held_nano_usd, held);
    const cap = ownRequests[0]?.token_cap_nano_usd ?? Number.POSITIVE_INFINITY;
    if (spent_nano_usd + held_nano_usd > cap)
      report(token_id, `has ${spent_nano_usd + held_nano_usd} of a cap of ${cap}`);
  }
  return found;
}
