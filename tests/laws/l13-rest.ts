/** L13: with faults off, holds return to 0 and the pool serves again within T. */

import type { Law } from './world.ts';
import { findings } from './world-views.ts';

export const rest: Law = (world) => {
  const { found, report } = findings('L13');
  if (!world.final) return found;
  for (const { accountId, credit } of world.accounts)
    if (credit && credit.held_nano_usd !== 0) report(accountId, `still holds ${credit.held_nano_usd}`);
  for (const { what, served } of world.probes ?? []) if (!served) report(what, 'was not served');
  return found;
};
