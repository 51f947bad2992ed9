/** Faults that come by themselves while the safety phase lasts: deaths and restarts, a price that changes, a key that is revoked. */
import { PER_SECOND } from './faults.ts';
import type { Account } from './population.ts';
import { WORLD } from './scheduler.ts';
import { MODEL, type SimNode } from './sim-node.ts';
import type { Universe } from './universe.ts';

const NODE_AWAY_MS = 12_000;

export interface Weather {
  readonly universe: Universe;
  readonly nodes: readonly SimNode[];
  readonly accounts: readonly Account[];
  readonly revocations: { keyId: string; atMs: number }[];
}

/** Blows over: a request that hangs must end by itself, and not because its isolate happens to die at last. */
export function blow(weather: Weather, spanMs: number): void {
  const { universe } = weather;
  const { faults, scheduler } = universe;
  const overAtMs = universe.nowMs + spanMs;
  const everySecond = () => {
    if (!faults.on || universe.nowMs > overAtMs) return;
    for (const [what, happen] of Object.entries(HAPPENINGS))
      if (faults.chance(what, PER_SECOND[what as keyof typeof PER_SECOND])) happen(weather);
    scheduler.after(1_000 * universe.random.between(0.5, 1.5), WORLD, everySecond);
  };
  everySecond();
}

const HAPPENINGS: Record<keyof typeof PER_SECOND, (weather: Weather) => void> = {
  isolate_dies: ({ universe }) => universe.replaceIsolate(universe.random.int(universe.isolates.length)),
  wallet_restarts: ({ universe, accounts }) =>
    universe.host('Wallet', universe.random.pick(accounts).id).restart(),
  pool_restarts: ({ universe }) => universe.host('Pool', MODEL).restart(),
  node_dies: ({ universe, nodes }) => takeAway(universe, universe.random.pick(nodes)),
  half_the_pool_dies: ({ universe, nodes }) => {
    for (const node of nodes.slice(nodes.length >> 1)) takeAway(universe, node);
  },
};

/** Half of the pool at once, so many times in a span. */
export function storm(weather: Weather, { storms, spanMs }: { storms: number; spanMs: number }): void {
  const { universe } = weather;
  for (let i = 1; i <= storms; i++)
    universe.scheduler.after((spanMs * i) / (storms + 1), WORLD, () =>
      HAPPENINGS.half_the_pool_dies(weather),
    );
}

function takeAway(universe: Universe, node: SimNode): void {
  node.die();
  universe.scheduler.after(NODE_AWAY_MS * universe.random.between(0.2, 1), WORLD, () => node.restart());
}

/** The off-peak edge may fall into the run as well: this one surely does. */
export function changePrice({ d1, nowMs }: Universe, version: number): void {
  d1.run(
    `INSERT INTO price (id, model_id, from_ms, cache_hit_nano_usd, cache_miss_nano_usd, output_nano_usd, source)
     VALUES (?, ?, ?, ?, ?, ?, 'simulated')`,
    `${MODEL}/standard/${version}`,
    MODEL,
    Math.floor(nowMs) + 1,
    140 + version,
    550 + 10 * version,
    2_190 + 100 * version,
  );
}

export function revoke({ universe, accounts, revocations }: Weather): void {
  const key = accounts.find(({ kind }) => kind === 'revoked')?.keys[1];
  if (!key) return;
  const atMs = Math.floor(universe.nowMs);
  universe.d1.run('UPDATE api_key SET revoked_at_ms = ? WHERE id = ?', atMs, key.id);
  revocations.push({ keyId: key.id, atMs });
}
