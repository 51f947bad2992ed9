/**
 * Events that happen by themselves during the safety phase: isolates, Durable Objects and nodes die or restart, a price
 * changes, a key is revoked.
 */
import { PER_SECOND } from './faults.ts';
import { WORLD } from './life.ts';
import type { Account } from './population.ts';
import { MODEL, type SimNode } from './sim-node.ts';
import type { Universe } from './universe.ts';

/** The longest time that a dead node takes to restart. */
const NODE_DOWN_MS_MAX = 12_000;

/** The parts of a world that background events hit. */
export interface EventTargets {
  readonly universe: Universe;
  readonly nodes: readonly SimNode[];
  readonly accounts: readonly Account[];
  readonly revocations: { keyId: string; atMs: number }[];
}

/**
 * Draws background faults for `spanMs`. They end before the run does: a request that hangs must end by its own
 * deadline, not because its isolate happens to die at last.
 */
export function startBackgroundFaults(targets: EventTargets, spanMs: number): void {
  const { universe } = targets;
  const { faults, scheduler } = universe;
  const endMs = universe.nowMs + spanMs;
  const everySecond = () => {
    if (!faults.on || universe.nowMs > endMs) return;
    for (const [what, apply] of Object.entries(BACKGROUND_FAULTS))
      if (faults.chance(what, PER_SECOND[what as keyof typeof PER_SECOND])) apply(targets);
    scheduler.after(1_000 * universe.random.between(0.5, 1.5), WORLD, everySecond);
  };
  everySecond();
}

const BACKGROUND_FAULTS: Record<keyof typeof PER_SECOND, (targets: EventTargets) => void> = {
  isolate_dies: ({ universe }) => universe.replaceIsolate(universe.random.int(universe.isolates.length)),
  wallet_restarts: ({ universe, accounts }) =>
    universe.host('Wallet', universe.random.pick(accounts).id).restart(),
  pool_restarts: ({ universe }) => universe.host('Pool', MODEL).restart(),
  node_dies: ({ universe, nodes }) => killForAWhile(universe, universe.random.pick(nodes)),
  half_the_pool_dies: ({ universe, nodes }) => {
    for (const node of nodes.slice(nodes.length >> 1)) killForAWhile(universe, node);
  },
};

/** Lets half of the pool die at once, `storms` times at equal distances in a span. */
export function scheduleStorms(
  targets: EventTargets,
  { storms, spanMs }: { storms: number; spanMs: number },
): void {
  const { universe } = targets;
  for (let i = 1; i <= storms; i++)
    universe.scheduler.after((spanMs * i) / (storms + 1), WORLD, () =>
      BACKGROUND_FAULTS.half_the_pool_dies(targets),
    );
}

function killForAWhile(universe: Universe, node: SimNode): void {
  node.die();
  universe.scheduler.after(NODE_DOWN_MS_MAX * universe.random.between(0.2, 1), WORLD, () => node.restart());
}

/** Changes the price for certain, besides the change at the off-peak boundary that a run may or may not cross. */
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

export function revokeKey({ universe, accounts, revocations }: EventTargets): void {
  const key = accounts.find(({ kind }) => kind === 'revoked')?.keys[1];
  if (!key) return;
  const atMs = Math.floor(universe.nowMs);
  universe.d1.run('UPDATE api_key SET revoked_at_ms = ? WHERE id = ?', atMs, key.id);
  revocations.push({ keyId: key.id, atMs });
}
