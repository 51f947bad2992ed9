/** Part of L10: the hourly rollup is the sum of its requests. Both are written in one batch, so this holds at any time. */
import { findings } from './books.ts';
import type { UsageEventRow, UsageHourRow, World } from './world.ts';

const HOUR_MS = 3_600_000;

type Sums = Omit<UsageHourRow, 'account_id' | 'hour_ms' | 'key_id' | 'model_id'>;

export function rollup({ d1 }: World) {
  const { found, equal } = findings('L10');
  if (!d1?.usage_event || !d1.usage_hour) return found;
  const expected = new Map<string, Sums>();
  for (const row of d1.usage_event) {
    const hourMs = row.admitted_at_ms - (row.admitted_at_ms % HOUR_MS);
    const name = nameOf({ ...row, hour_ms: hourMs });
    expected.set(name, plus(expected.get(name), row));
  }
  const said = new Map(d1.usage_hour.map((row) => [nameOf(row), row]));
  for (const name of new Set([...expected.keys(), ...said.keys()])) {
    for (const column of Object.keys(NOTHING) as (keyof Sums)[])
      equal(name, `${column} of the hour`, said.get(name)?.[column] ?? 0, expected.get(name)?.[column] ?? 0);
  }
  return found;
}

const NOTHING: Sums = {
  requests: 0,
  cached_tokens: 0,
  uncached_tokens: 0,
  reasoning_tokens: 0,
  answer_tokens: 0,
  charge_nano_usd: 0,
};

function plus(sums: Sums = NOTHING, row: UsageEventRow): Sums {
  return {
    requests: sums.requests + 1,
    cached_tokens: sums.cached_tokens + row.cached_tokens,
    uncached_tokens: sums.uncached_tokens + row.prompt_tokens - row.cached_tokens,
    reasoning_tokens: sums.reasoning_tokens + row.reasoning_tokens,
    answer_tokens: sums.answer_tokens + row.completion_tokens - row.reasoning_tokens,
    charge_nano_usd: sums.charge_nano_usd + row.charge_nano_usd,
  };
}

function nameOf(row: Pick<UsageHourRow, 'account_id' | 'hour_ms' | 'key_id' | 'model_id'>): string {
  return `${row.account_id} ${new Date(row.hour_ms).toISOString()} ${row.key_id} ${row.model_id}`;
}
