/** Who asks: accounts with little and much credit, keys with limits, one that will be revoked, one that pays. */
import type { CapPeriod } from '../../worker/domain/limits.ts';
import { enter } from './context.ts';
import { newId } from './ids.ts';
import type { Universe } from './universe.ts';

interface Kind {
  /** how many such accounts */
  readonly accounts: number;
  readonly grantNanoUsd: number;
  /** share of all requests */
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
  /** in each of its prompts, echoed in each of its answers */
  readonly marker: string;
  readonly weight: number;
  readonly keys: readonly { readonly id: string; readonly key: string }[];
}

export type Population = Readonly<Record<string, Kind>>;

const UNLIMITED = { requestsPerMinute: 100_000, concurrency: 10_000 };

export const EVERYBODY: Population = {
  rich: { accounts: 6, grantNanoUsd: 100_000_000_000, weight: 76, keys: [UNLIMITED, UNLIMITED] },
  /** enough for a few answers: then credit comes back when others end */
  poor: { accounts: 2, grantNanoUsd: 3_000_000, weight: 5, keys: [UNLIMITED] },
  /** a long answer ends where its credit does */
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
  /** granted and paid credit: which is spent first matters */
  payer: { accounts: 1, grantNanoUsd: 1_000_000, weight: 6, keys: [UNLIMITED] },
};

/** The same crowd, and one who can pay. */
export function withSomebodyRich(population: Population): Population {
  return { ...population, rich: { ...EVERYBODY.rich!, accounts: 1, weight: 0.02 } };
}

/** Ten thousand want what a cent pays for. */
export const RACERS: Population = {
  racer: { accounts: 1, grantNanoUsd: 10_000_000, weight: 1, keys: [UNLIMITED, UNLIMITED] },
};

/** Makes them through the same code as the portal and the operator's API. */
export async function settleIn(universe: Universe, population: Population): Promise<Account[]> {
  const [desk] = universe.isolates;
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
      const made = [];
      for (const limits of keys) {
        enter(desk!.life);
        const request = { accountId: id, name: kind, nowMs, ...limits };
        const { key, row } = await universe.machine.edge.desk.createKey(desk!.env, request);
        made.push({ id: row.id, key });
      }
      const marker = `mark-${kind}-${i}-${universe.secretRandom.int(2 ** 40).toString(36)}`;
      accounts.push({ id, kind, marker, weight: weight / count, keys: made });
    }
  }
  return accounts;
}
