/** Views of a world that several laws share. They compute sums and charges themselves, not with the code under test. */
import {
  type AccountRows,
  type Bounds,
  DEFAULT_BOUNDS,
  type EndedColumns,
  type LawName,
  type UsageEventRow,
  type Violation,
  type World,
} from './world.ts';

export interface AccountRequest {
  readonly accountId: string;
  readonly row: EndedColumns;
}

export const ENDED_STATES: ReadonlySet<string> = new Set(['posted', 'voided', 'expired']);

export function boundsOf(world: World): Bounds {
  return { ...DEFAULT_BOUNDS, ...world.bounds };
}

/** Collects violations of one law. */
export function findings(law: LawName) {
  const found: Violation[] = [];
  return {
    found,
    report: (about: string, what: string) => void found.push({ law, about, what }),
    /** Reports a difference. @param what names the value, such as "its charge" */
    equal: (about: string, what: string, actual: unknown, expected: unknown) => {
      if (actual !== expected) found.push({ law, about, what: `${what} is ${actual}, not ${expected}` });
    },
  };
}

const requestsByWorld = new WeakMap<World, ReadonlyMap<string, AccountRequest>>();

/** Every known request, by id: the Wallet's row, or D1's when the Wallet no longer has it. */
export function requestsOf(world: World): ReadonlyMap<string, AccountRequest> {
  const cached = requestsByWorld.get(world);
  if (cached) return cached;
  const requests = new Map<string, AccountRequest>();
  for (const row of world.d1?.usage_event ?? []) {
    requests.set(row.request_id, { accountId: row.account_id, row });
  }
  for (const { accountId, request } of world.accounts) {
    for (const row of request ?? []) requests.set(row.request_id, { accountId, row });
  }
  requestsByWorld.set(world, requests);
  return requests;
}

/** Whether the world has every request, so that one without a row was never admitted. */
export function knowsAllRequests({ accounts, d1 }: World): boolean {
  return accounts.every(({ request }) => request !== undefined) && d1?.usage_event !== undefined;
}

export function balanceOf({ entry, start }: Pick<AccountRows, 'entry' | 'start'>): {
  granted: number;
  paid: number;
} {
  let { granted, paid } = start ?? { granted: 0, paid: 0 };
  for (const row of entry ?? []) {
    granted += row.granted_nano_usd;
    paid += row.paid_nano_usd;
  }
  return { granted, paid };
}

interface PriceColumns {
  readonly cache_hit_nano_usd: number;
  readonly cache_miss_nano_usd: number;
  readonly output_nano_usd: number;
}

/** Tokens × price. Bigints keep it exact beyond 2⁵³. */
export function chargeOf(row: EndedColumns, price: PriceColumns): number {
  const times = (tokens: number, perToken: number) => BigInt(tokens) * BigInt(perToken);
  return Number(
    times(row.cached_tokens, price.cache_hit_nano_usd) +
      times(row.prompt_tokens - row.cached_tokens, price.cache_miss_nano_usd) +
      times(row.completion_tokens, price.output_nano_usd),
  );
}

export function groupBy<T>(rows: Iterable<T>, keyOf: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return groups;
}

/** The columns of an ended request in which the Wallet and D1 must agree. */
export const SHARED_COLUMNS = [
  'key_id',
  'model_id',
  'state',
  'ending',
  'node_id',
  'admitted_at_ms',
  'ended_at_ms',
  'prompt_tokens',
  'cached_tokens',
  'completion_tokens',
  'reasoning_tokens',
  'price_id',
  'charge_nano_usd',
  'entry_seq',
] as const satisfies readonly (keyof UsageEventRow)[];
