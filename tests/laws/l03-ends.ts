/**
 * L3: every admitted request ends in exactly one of posted, voided, expired, within T of its end.
 * A request that its Idempotency-Key names is one request however often it is sent: of all its runs the dearest is paid.
 */
import { boundsOf, ENDED_STATES, findings, groupBy, knowsAllRequests, requestsOf } from './books.ts';
import type { AccountBooks, Law, RequestRow, World } from './world.ts';

export const ends: Law = (world) => [
  ...world.accounts.flatMap((account) => endsOnce(world, account)),
  ...servedAreKnown(world),
  ...endsInTime(world),
  ...keysPayOnce(world),
];

function endsOnce(world: World, { request, lease, ends }: AccountBooks) {
  const { found, say } = findings('L3');
  for (const { lease_id, ended_at_ms } of lease ?? [])
    if (world.final && ended_at_ms === null) say(lease_id, 'is still open');
  for (const row of request ?? []) {
    if (row.state === 'held') {
      if (world.final) say(row.request_id, 'is still held');
    } else if (!ENDED_STATES.has(row.state)) {
      say(row.request_id, `ended as ${row.state}`);
    } else if (!isConsistent(row)) {
      say(row.request_id, `is ${row.state} with ending ${row.ending}, charge ${row.charge_nano_usd}`);
    }
  }
  for (const { request_id, from_state, to_state } of ends ?? [])
    if (from_state !== 'held') say(request_id, `ended again: from ${from_state} to ${to_state}`);
  return found;
}

function isConsistent(row: RequestRow): boolean {
  if (row.ending === null || row.ended_at_ms === null) return false;
  return row.state === 'voided' ? row.charge_nano_usd === 0 && row.entry_seq === null : true;
}

/**
 * Work that no hold stands for would be given away. A request of a lease is known when it has ended; one whose isolate
 * was lost before is known by its node, if that did anything for it.
 */
function servedAreKnown(world: World) {
  const { found, say } = findings('L3');
  if (!knowsAllRequests(world) || !world.final) return found;
  const requests = requestsOf(world);
  for (const { nodeId, counts } of world.nodes ?? [])
    for (const { requestId, completionTokens, running } of counts)
      if (completionTokens > 0 && !running && !requests.has(requestId))
        say(requestId, `was worked on by ${nodeId} and never admitted`);
  for (const { requestId, deliveredTokens } of world.clients ?? [])
    if (requestId !== null && (deliveredTokens ?? 0) > 0 && !requests.has(requestId))
      say(requestId, 'was answered and never admitted');
  return found;
}

function endsInTime(world: World) {
  const { found, say } = findings('L3');
  const { settleMs, clockSkewMs } = boundsOf(world);
  const requests = requestsOf(world);
  for (const { requestId, endedAtMs, replayed } of world.clients ?? []) {
    const row = requestId === null || replayed ? undefined : requests.get(requestId)?.row;
    if (!row?.ended_at_ms || endedAtMs === undefined) continue;
    const tookMs = row.ended_at_ms - endedAtMs;
    if (tookMs > settleMs + clockSkewMs)
      say(row.request_id, `ended ${tookMs} ms after its client saw its end`);
  }
  return found;
}

function keysPayOnce(world: World) {
  const { found, say } = findings('L3');
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
    const back = [...ids].map((id) => corrections.get(`${runs[0]!.accountId} ${id}`) ?? 0);
    const paid = sum(charges) - sum(back);
    if (paid > Math.max(0, ...charges))
      say(key, `paid ${paid} for runs that cost ${charges.join(', ')}: ${[...ids].join(', ')}`);
  }
  return found;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
