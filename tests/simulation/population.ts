/** The accounts of a world: little and much credit, keys with limits, a key that will be revoked, an account that pays. */
import type { CapPeriod } from '../../worker/domain/limits.ts';
import { enter } from './context.ts';
import { newId } from './ids.ts';
import type { Universe } from './universe.ts';

/** One kind of account. */
interface AccountKind {
  /** The number of such accounts. */
  readonly accounts: number;
  readonly grantNanoUsd: number;
  /** The weight of this kind's requests among those of all kinds. */
  readonly weight: number;
  readonly keys: readonly KeyLimits[];
}

interface KeyLimits {
  readonly capNanoUsd?: number;
  readonly capPeriod?: CapPeriod;
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  readonly concurrency?: number;
}

export interface Account {
  readonly id: string;
  readonly kind: string;
  /** A text that is in each of the account's prompts and echoed in each of its answers. */
  readonly marker: string;
  readonly weight: number;
  readonly keys: readonly { readonly id: string; readonly key: string }[];
}

export type Population = Readonly<Record<string, AccountKind>>;

const UNLIMITED = { requestsPerMinute: 100_000, concurrency: 10_000 };

export const MIXED_POPULATION: Population = {
  rich: { accounts: 6, grantNanoUsd: 100_000_000_000, weight: 76, keys: [UNLIMITED, UNLIMITED] },
  /** The credit covers a few answers at once; the next is admitted when a hold is released. */
  poor: { accounts: 2, grantNanoUsd: 3_000_000, weight: 5, keys: [UNLIMITED] },
  /** Long answers stop when the credit runs out. */
  tight: { accounts: 1, grantNanoUsd: 20_000_000, weight: 3, keys: [UNLIMITED] },
  limited: {
    accounts: 1,
    grantNanoUsd: 10_000_000_000,
    weight: 6,
    keys: [
      { ...UNLIMITED, capNanoUsd: 4_000_000, capPeriod: 'day' },
      { requestsPerMinute: 40, concurrency: 3, tokensPerMinute: 4_000 },
    ],
  },
  revoked: { accounts: 1, grantNanoUsd: 10_000_000_000, weight: 4, keys: [UNLIMITED, UNLIMITED] },
  /** Breaks engines and writes their error words everywhere: see attack.ts. */
  attacker: { accounts: 1, grantNanoUsd: 10_000_000_000, weight: 12, keys: [UNLIMITED, UNLIMITED] },
  /** Has granted and paid credit, so that the order in which they are spent matters. */
  payer: { accounts: 1, grantNanoUsd: 1_000_000, weight: 6, keys: [UNLIMITED] },
};

/** Adds one account that can always pay, which the probes use. */
export function withRichAccount(population: Population): Population {
  return { ...population, rich: { ...MIXED_POPULATION.rich!, accounts: 1, weight: 0.02 } };
}

/** Customers that can always pay, with an attacker among them that sends as much as all others, or without. */
export function attacked(by: 'one' | 'nobody'): Population {
  const { rich, attacker } = MIXED_POPULATION;
  return by === 'nobody'
    ? { rich: rich! }
    : { rich: rich!, attacker: { ...attacker!, accounts: 1, weight: rich!.weight } };
}

/** One account with a cent, which thousands of requests compete for. */
export const RACERS: Population = {
  racer: { accounts: 1, grantNanoUsd: 10_000_000, weight: 1, keys: [UNLIMITED, UNLIMITED] },
};

/** Creates the accounts through the same code as the portal and the operator's API. */
export async function createAccounts(universe: Universe, population: Population): Promise<Account[]> {
  const [isolate] = universe.isolates;
  const accounts: Account[] = [];
  for (const [kind, { accounts: count, grantNanoUsd, weight, keys }] of Object.entries(population)) {
    for (let i = 0; i < count; i++) {
      const id = newId(universe, 'acct');
      const nowMs = Math.floor(universe.nowMs);
      universe.d1.run(
        'INSERT INTO account (id, name, created_at_ms, requests_per_minute, concurrency) VALUES (?, ?, ?, 1000000, 100000)',
        id,
        kind,
        nowMs,
      );
      if (grantNanoUsd > 0)
        await universe
          .host('Wallet', id)
          .invoke('grant', [{ grantId: 'welcome', amountNanoUsd: grantNanoUsd }]);
      const createdKeys = [];
      for (const limits of keys) {
        enter(isolate!.life);
        const request = { accountId: id, name: kind, nowMs, ...limits };
        const { key, row } = await universe.machine.edge.portal.createKey(isolate!.env, request);
        createdKeys.push({ id: row.id, key });
      }
      const marker = `mark-${kind}-${i}-${universe.secretRandom.int(2 ** 40).toString(36)}`;
      accounts.push({ id, kind, marker, weight: weight / count, keys: createdKeys });
    }
  }
  return accounts;
}
