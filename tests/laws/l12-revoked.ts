/** L12: a revoked key admits nothing after R = 10 s. */

import type { Law } from './world.ts';
import { boundsOf, findings, requestsOf } from './world-views.ts';

const REVOKED_WITHIN_MS = 10_000;

export const revoked: Law = (world) => {
  const { found, report } = findings('L12');
  const { clockSkewMs } = boundsOf(world);
  const requests = requestsOf(world);
  const rows = new Map((world.d1?.api_key ?? []).map((row) => [row.id, row.revoked_at_ms]));
  for (const [requestId, { row }] of requests) {
    const revokedAtMs = rows.get(row.key_id);
    if (typeof revokedAtMs === 'number' && row.admitted_at_ms > revokedAtMs + REVOKED_WITHIN_MS + clockSkewMs)
      report(
        requestId,
        `was admitted ${row.admitted_at_ms - revokedAtMs} ms after ${row.key_id} was revoked`,
      );
  }
  const times = new Map((world.revocations ?? []).map(({ keyId, atMs }) => [keyId, atMs]));
  for (const { keyId, requestId, sentAtMs } of world.clients ?? []) {
    const atMs = keyId === undefined ? undefined : times.get(keyId);
    if (atMs === undefined || sentAtMs === undefined || requestId === null) continue;
    if (sentAtMs > atMs + REVOKED_WITHIN_MS && requests.has(requestId))
      report(requestId, `was sent ${sentAtMs - atMs} ms after ${keyId} was revoked, and admitted`);
  }
  return found;
};
