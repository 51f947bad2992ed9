/** L11: no content of one account appears in another's response, or in a log, cache hit or metric. */

import type { Law } from './world.ts';
import { findings } from './world-views.ts';

export const tenants: Law = (world) => {
  const { found, report } = findings('L11');
  const secrets = world.secrets ?? [];
  for (const { accountId, requestId, text } of world.clients ?? []) {
    if (!text) continue;
    for (const secret of secrets)
      if (secret.accountId !== accountId && text.includes(secret.text))
        report(requestId ?? accountId, `was answered with what belongs to ${secret.accountId}`);
  }
  for (const line of world.logs ?? [])
    for (const secret of secrets)
      if (line.includes(secret.text)) report(secret.accountId, `appears in a log: ${line.slice(0, 200)}`);
  const owners = new Map<string, string>();
  const reported = new Set<string>();
  for (const { cacheSalt, accountId } of world.dispatches ?? []) {
    if (cacheSalt === undefined) continue;
    const owner = owners.get(cacheSalt) ?? accountId;
    owners.set(cacheSalt, owner);
    if (owner === accountId || reported.has(accountId)) continue;
    reported.add(accountId);
    report(accountId, `shares its prefix cache with ${owner}`);
  }
  return found;
};
