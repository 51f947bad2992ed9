/**
 * Part of L10: the hourly rollups are the sums of their requests, by key and by node, and the part of a request's charge
 * that granted credit paid is that of its ledger entry. Rollup and request are
 * written in one batch, so this holds at any time.
 */

import type { D1Rows, EntryRow, NodeHourRow, PriceRow, UsageEventRow, UsageHourRow, World } from './world.ts';
import { findings } from './world-views.ts';

const HOUR_MS = 3_600_000;

export function rollupsMatch(world: World) {
  const { found, equal } = findings('L10');
  const { usage_event: events, usage_hour, node_hour } = world.d1 ?? {};
  if (!events) return found;
  const prices = new Map(world.d1?.price?.map((row) => [row.id, row]));
  if (usage_hour)
    compare(sumsOf(events, keyHourOf, ofKey(prices)), new Map(usage_hour.map((row) => [keyName(row), row])));
  if (node_hour) {
    const served = events.filter(({ node_id }) => node_id !== null);
    compare(sumsOf(served, nodeHourOf, ofNode), new Map(node_hour.map((row) => [nodeName(row), row])));
  }
  const entries = entriesOf(world);
  const charged = Map.groupBy(events, ({ account_id, entry_seq }) => `${account_id} ${entry_seq}`);
  for (const [name, requests] of charged) {
    const entry = requests[0]!.entry_seq === null ? NO_ENTRY : entries.get(name);
    const granted = requests.reduce((sum, { granted_nano_usd }) => sum + granted_nano_usd, 0);
    // Without its entry a request is not checked: D1 may get the entry later.
    if (entry) equal(`entry ${name}`, 'what granted credit paid', granted, 0 - entry.granted_nano_usd);
  }
  return found;

  function compare(expected: ReadonlyMap<string, Sums>, stored: ReadonlyMap<string, object>) {
    for (const name of new Set([...expected.keys(), ...stored.keys()])) {
      const row = stored.get(name) as Sums | undefined;
      const sums = expected.get(name);
      for (const column of Object.keys(sums ?? countsOf(row!)))
        equal(name, `${column} of the hour`, row?.[column] ?? 0, sums?.[column] ?? 0);
    }
  }
}

type Sums = Readonly<Record<string, number>>;

/** The counts of a stored row for which there is no request. */
function countsOf(row: Sums): Sums {
  const counts = Object.entries(row).filter(
    ([name, value]) => typeof value === 'number' && name !== 'hour_ms',
  );
  return Object.fromEntries(counts);
}

const NO_ENTRY = { granted_nano_usd: 0 };

/** Sums the contributions of requests, by the name of the row they belong to. */
function sumsOf(
  events: readonly UsageEventRow[],
  nameOf: (row: UsageEventRow) => string,
  contributionOf: (row: UsageEventRow) => Sums,
): Map<string, Sums> {
  const sums = new Map<string, Sums>();
  for (const row of events) {
    const name = nameOf(row);
    const before = sums.get(name);
    const added = Object.entries(contributionOf(row)).map(([column, value]) => [
      column,
      (before?.[column] ?? 0) + value,
    ]);
    sums.set(name, Object.fromEntries(added));
  }
  return sums;
}

function ofKey(prices: ReadonlyMap<string, PriceRow>) {
  return (row: UsageEventRow) => {
    const price = prices.get(row.price_id);
    return {
      requests: 1,
      cached_tokens: row.cached_tokens,
      uncached_tokens: row.prompt_tokens - row.cached_tokens,
      reasoning_tokens: row.reasoning_tokens,
      answer_tokens: row.completion_tokens - row.reasoning_tokens,
      charge_nano_usd: row.charge_nano_usd,
      cache_saving_nano_usd: price
        ? row.cached_tokens * (price.cache_miss_nano_usd - price.cache_hit_nano_usd)
        : 0,
    } satisfies Omit<UsageHourRow, 'account_id' | 'hour_ms' | 'key_id' | 'model_id'>;
  };
}

function ofNode(row: UsageEventRow) {
  return {
    requests: 1,
    prompt_tokens: row.prompt_tokens,
    cached_tokens: row.cached_tokens,
    completion_tokens: row.completion_tokens,
    charge_nano_usd: row.charge_nano_usd,
    granted_nano_usd: row.granted_nano_usd,
  } satisfies Omit<NodeHourRow, 'node_id' | 'hour_ms'>;
}

function keyHourOf(row: UsageEventRow): string {
  return keyName({ ...row, hour_ms: hourOf(row) });
}

function keyName(row: Pick<UsageHourRow, 'account_id' | 'hour_ms' | 'key_id' | 'model_id'>): string {
  return `${row.account_id} ${new Date(row.hour_ms).toISOString()} ${row.key_id} ${row.model_id}`;
}

function nodeHourOf(row: UsageEventRow): string {
  return nodeName({ node_id: row.node_id!, hour_ms: hourOf(row) });
}

function nodeName(row: Pick<NodeHourRow, 'node_id' | 'hour_ms'>): string {
  return `${row.node_id} ${new Date(row.hour_ms).toISOString()}`;
}

function hourOf({ admitted_at_ms: atMs }: UsageEventRow): number {
  return atMs - (atMs % HOUR_MS);
}

/** Entries by account and number: the Wallet's, or D1's when the world lacks the Wallet's. */
function entriesOf({ accounts, d1 }: World): ReadonlyMap<string, Pick<EntryRow, 'granted_nano_usd'>> {
  const projected = (d1 as D1Rows).ledger_entry ?? [];
  return new Map([
    ...projected.map((row) => [`${row.account_id} ${row.seq}`, row] as const),
    ...accounts.flatMap(({ accountId, entry = [] }) =>
      entry.map((row) => [`${accountId} ${row.seq}`, row] as const),
    ),
  ]);
}
