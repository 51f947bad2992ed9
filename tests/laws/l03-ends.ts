/**
 * L3: every admitted request ends in exactly one of posted, voided, expired, within T of its end.
 * Requests with the same Idempotency-Key are one request, however often it is sent: only the most expensive run is paid.
 */

import type { AccountRows, Law, RequestRow, World } from './world.ts';
import { boundsOf, ENDED_STATES, findings, groupBy, knowsAllRequests, requestsOf } from './world-views.ts';

export const ends: Law = (world) => [
  ...world.accounts.flatMap((account) => endsOnce(world, account)),
  ...servedAreKnown(world),
  ...endsInTime(world),
  ...keysPayOnce(world),
];

function endsOnce(world: World, { request, lease, ends }: AccountRows) {
  const { found, report } = findings('L3');
  for (const { lease_id, ended_at_ms } of lease ?? [])
    if (world.final && ended_at_ms === null) report(lease_id, 'is still open');
  for (const row of request ?? []) {
    if (row.state === 'held') {
      if (world.final) report(row.request_id, 'is still held');
    } else if (!ENDED_STATES.has(row.state)) {
      report(row.request_id, `ended as ${row.state}`);
    } else if (!isConsistent(row)) {
      report(row.request_id, `is ${row.state} with ending ${row.ending}, charge ${row.charge_nano_usd}`);
    }
  }
  for (const { request_id, from_state, to_state } of ends ?? [])
    if (from_state !== 'held') report(request_id, `ended again: from ${from_state} to ${to_state}`);
  return found;
}

function isConsistent(row: RequestRow): boolean {
  if (row.ending === null || row.ended_at_ms === null) return false;
  return row.state === 'voided' ? row.charge_nano_usd === 0 && row.entry_seq === null : true;
}

/**
 * Work without a hold would be given away. A request under a lease is known when it has ended; if its isolate was lost
 * before, it is known from its node's receipt, when that node did any work for it.
 */
function servedAreKnown(world: World) {
  const { found, report } = findings('L3');
  if (!knowsAllRequests(world) || !world.final) return found;
  const requests = requestsOf(world);
  for (const { nodeId, counts } of world.nodes ?? [])
    for (const { requestId, completionTokens, running } of counts)
      if (completionTokens > 0 && !running && !requests.has(requestId))
        report(requestId, `was worked on by ${nodeId} and never admitted`);
  for (const { requestId, deliveredTokens } of world.clients ?? [])
    if (requestId !== null && (deliveredTokens ?? 0) > 0 && !requests.has(requestId))
      report(requestId, 'was answered and never admitted');
  return found;
}

function endsInTime(world: World) {
  const { found, report } = findings('L3');
  const { settleMs, clockSkewMs } = boundsOf(world);
  const requests = requestsOf(world);
  for (const { requestId, endedAtMs, replayed } of world.clients ?? []) {
    const row = requestId === null || replayed ? undefined : requests.get(requestId)?.row;
    if (!row?.ended_at_ms || endedAtMs === undefined) continue;
    const tookMs = row.ended_at_ms - endedAtMs;
    if (tookMs > settleMs + clockSkewMs)
      report(row.request_id, `ended ${tookMs} ms after its client saw its end`);
  }
  return found;
}

function keysPayOnce(world: World) {
  const { found, report } = findings('L3');
  const keyed = (world.clients ?? []).filter(({ idempotencyKey, requestId }) => idempotencyKey && requestId);
  const corrections = new Map(
    world.accounts.flatMap(({ accountId, entry }) =>
      (entry ?? [])
        .filter(({ kind }) => kind === 'correction')
        .map((row) => [`${accountId} ${row.reference}`, row.granted_nano_usd + row.paid_nano_usd] as const),
    ),
  );
  const requests = requestsOf(world);
  for (const [key, runs] of groupBy(keyed, (run) => `${run.accountId} ${run.idempotencyKey}`)) {
    const ids = new Set(runs.map(({ requestId }) => requestId!));
    const charges = [...ids].map((id) => requests.get(id)?.row.charge_nano_usd ?? 0);
    const creditedBack = [...ids].map((id) => corrections.get(`${runs[0]!.accountId} ${id}`) ?? 0);
    const paid = sum(charges) - sum(creditedBack);
    if (paid > Math.max(0, ...charges))
      report(key, `paid ${paid} for runs that cost ${charges.join(', ')}: ${[...ids].join(', ')}`);
  }
  return found;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
