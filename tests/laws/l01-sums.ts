/**
 * L1: entries of a transaction sum to 0; entries of an account sum to its balance.
 * The other side of a charge is its requests' bill, tokens × the price in force at admission. A charge that differs from
 * its bill, or a bill without a charge, is therefore a transaction that does not sum to 0.
 */

import type { AccountRows, EntryRow, Law, PriceRow, RequestRow, World } from './world.ts';
import { balanceOf, boundsOf, chargeOf, findings, requestsOf } from './world-views.ts';

/** The signs that the granted and the paid leg of each kind of entry may have. */
const LEGS: Record<string, (entry: EntryRow) => boolean> = {
  grant: (entry) => entry.granted_nano_usd > 0 && entry.paid_nano_usd === 0,
  top_up: (entry) => entry.granted_nano_usd === 0 && entry.paid_nano_usd > 0,
  charge: (entry) => entry.granted_nano_usd <= 0 && entry.paid_nano_usd <= 0,
  correction: () => true,
  opening: (entry) => entry.granted_nano_usd === 0 && entry.paid_nano_usd === 0,
};

export const sums: Law = (world) => [
  ...world.accounts.flatMap(entriesSum),
  ...world.accounts.flatMap((account) => chargesMeetBills(world, account)),
  ...world.accounts.flatMap(({ request }) => (request ?? []).flatMap((row) => billIsExact(world, row))),
];

function entriesSum(account: AccountRows) {
  const { found, report, equal } = findings('L1');
  const { accountId, entry, credit, start } = account;
  if (!entry) return found;
  const balance = balanceOf(account);
  if (credit) {
    equal(accountId, 'granted credit', credit.granted_nano_usd, balance.granted);
    equal(accountId, 'paid credit', credit.paid_nano_usd, balance.paid);
  }
  let { granted, paid } = start ?? { granted: 0, paid: 0 };
  for (const row of inOrder(entry)) {
    const about = aboutEntry(accountId, row);
    if (!LEGS[row.kind]?.(row)) report(about, `has legs ${row.granted_nano_usd} and ${row.paid_nano_usd}`);
    granted += row.granted_nano_usd;
    paid += row.paid_nano_usd;
    equal(about, 'its balance', row.balance_nano_usd, granted + paid);
    if (row.kind === 'charge' && row.paid_nano_usd < 0 && granted > 0)
      report(about, `took ${-row.paid_nano_usd} of paid credit while ${granted} of granted credit was left`);
  }
  return found;
}

function chargesMeetBills(world: World, { accountId, entry, request }: AccountRows) {
  const { found, report, equal } = findings('L1');
  if (!entry) return found;
  const charges = new Map(entry.filter(({ kind }) => kind === 'charge').map((row) => [row.seq, row]));
  const ownRequests = [...requestsOf(world).values()].filter((request) => request.accountId === accountId);
  const bills = Map.groupBy(ownRequests, ({ row }) => row.entry_seq);
  for (const row of charges.values()) {
    const about = aboutEntry(accountId, row);
    const billed = bills.get(row.seq);
    if (!billed) {
      if (request && world.d1?.usage_event) report(about, 'charges a request that is in no book');
      continue;
    }
    const sum = billed.reduce((total, { row: { charge_nano_usd } }) => total + charge_nano_usd, 0);
    equal(about, 'what it took', -(row.granted_nano_usd + row.paid_nano_usd), sum);
    const ids = billed.map(({ row: { request_id } }) => request_id).sort();
    const span = ids.length === 1 ? ids[0]! : `${ids[0]}..${ids.at(-1)}`;
    equal(about, 'what it refers to', row.reference, span);
  }
  for (const row of request ?? []) {
    if (row.charge_nano_usd !== 0 && !(row.entry_seq !== null && charges.has(row.entry_seq)))
      report(row.request_id, `was billed ${row.charge_nano_usd} and charged by no entry`);
  }
  return found;
}

function billIsExact(world: World, row: RequestRow) {
  const { found, report, equal } = findings('L1');
  equal(row.request_id, 'its charge', row.charge_nano_usd, chargeOf(row, row));
  const prices = world.d1?.price;
  const named = prices?.find(({ id }) => id === row.price_id);
  if (!prices) return found;
  if (!named) {
    report(row.request_id, `names the price ${row.price_id}, which is in no book`);
    return found;
  }
  for (const column of ['cache_hit_nano_usd', 'cache_miss_nano_usd', 'output_nano_usd'] as const) {
    equal(row.request_id, `its ${column}`, row[column], named[column]);
  }
  const { clockSkewMs, staleMs } = boundsOf(world);
  const candidates = prices.filter(
    ({ model_id, tariff }) => model_id === row.model_id && tariff === named.tariff,
  );
  const span = {
    fromMs: row.admitted_at_ms - clockSkewMs - staleMs,
    toMs: row.admitted_at_ms + clockSkewMs,
    staleMs,
  };
  if (!inForceWithin(candidates, span).has(row.price_id))
    report(row.request_id, `was charged by ${row.price_id}, which was not in force at its admission`);
  return found;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/**
 * Ids of the rows that were in force at some instant of the span, for an isolate that may not yet know rows that began
 * within `staleMs` before. The row in force changes only at the edges of rows and of their daily windows.
 */
function inForceWithin(
  prices: readonly PriceRow[],
  { fromMs, toMs, staleMs }: { fromMs: number; toMs: number; staleMs: number },
): Set<string> {
  const edges = prices.flatMap((price) => [price.from_ms, price.to_ms ?? fromMs]);
  for (const { daily_from_minute, daily_to_minute } of prices) {
    if (daily_from_minute === null || daily_to_minute === null) continue;
    for (const minute of [daily_from_minute, daily_to_minute])
      for (let edge = fromMs - (fromMs % DAY_MS) + minute * MINUTE_MS; edge <= toMs; edge += DAY_MS)
        edges.push(edge);
  }
  const instants = [fromMs, toMs, ...edges.filter((edge) => edge >= fromMs && edge <= toMs)];
  const knownUntil = [toMs, ...prices.map((price) => price.from_ms - 1)].filter(
    (atMs) => atMs >= fromMs - staleMs,
  );
  return new Set(
    knownUntil.flatMap((knownUntilMs) => {
      const known = prices.filter((price) => price.from_ms <= knownUntilMs);
      return instants.flatMap((atMs) => inForce(known, atMs) ?? []);
    }),
  );
}

function inForce(prices: readonly PriceRow[], atMs: number): string | undefined {
  const minute = Math.floor(atMs / MINUTE_MS) % 1_440;
  const rows = prices.filter((price) => {
    const { daily_from_minute: from, daily_to_minute: to } = price;
    const dated = price.from_ms <= atMs && (price.to_ms === null || atMs < price.to_ms);
    if (from === null || to === null) return dated;
    return dated && (from <= to ? from <= minute && minute < to : minute >= from || minute < to);
  });
  const daily = rows.filter(({ daily_from_minute }) => daily_from_minute !== null);
  const best = daily.length > 0 ? daily : rows;
  return best.reduce<PriceRow | undefined>((a, b) => (a && a.from_ms >= b.from_ms ? a : b), undefined)?.id;
}

function inOrder(entries: readonly EntryRow[]): EntryRow[] {
  return [...entries].sort((a, b) => a.seq - b.seq);
}

function aboutEntry(accountId: string, { seq, kind, reference }: EntryRow): string {
  return `${accountId} entry ${seq} (${kind} ${reference})`;
}
