/** One run: a world from a seed, a safety phase with every fault, a liveness phase with none, then the laws. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brokenLaws, type Violation } from '../laws/laws.ts';
import type { Dispatch } from '../laws/world.ts';
import type { Machine } from './bundle/machine.ts';
import { newId } from './ids.ts';
import { settleIn } from './population.ts';
import { Provider } from './provider.ts';
import { SCENARIOS, type ScenarioName } from './scenarios.ts';
import { WORLD } from './scheduler.ts';
import { GRACE_MS, LEASE_MS } from './settings.ts';
import { SimNode } from './sim-node.ts';
import { testify } from './testimony.ts';
import { Traffic } from './traffic.ts';
import { Universe } from './universe.ts';
import { blow, changePrice, revoke, storm } from './weather.ts';

export interface RunOptions {
  readonly seed: number;
  readonly requests: number;
  readonly scenario: ScenarioName;
}

export interface RunResult extends RunOptions {
  readonly digest: string;
  readonly asked: number;
  readonly violations: readonly Violation[];
  /** the last events about the first violations */
  readonly history: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

const DAY_MS = 86_400_000;
/** Beside the off-peak edges of R1's price, in a year that is later than now: prices may not begin in the past. */
const START_DAY_MS = Date.UTC(2031, 4, 6);
/** A hold that nobody proves takes its lease and its grace, an unlucky one of a long answer a little more. */
const SETTLE_WITHIN_MS = LEASE_MS + GRACE_MS + 60_000;

const MIGRATIONS = join(import.meta.dirname, '../../migrations');
const migrations = readdirSync(MIGRATIONS)
  .filter((name) => name.endsWith('.sql'))
  .sort()
  .map((name) => readFileSync(join(MIGRATIONS, name), 'utf8'));

/** A world that comes to a halt serves nobody. Call it from a macrotask: within a promise's reaction V8 drains no others. */
export function simulate(options: RunOptions, machine: Machine): RunResult {
  try {
    return live(options, machine);
  } catch (error) {
    const what = `came to a halt: ${error instanceof Error ? error.stack : String(error)}`;
    const violations = [{ law: 'L13', about: 'the world', what }] as const;
    return { ...options, digest: '', asked: 0, violations, history: [], counts: {} };
  }
}

function live(options: RunOptions, machine: Machine): RunResult {
  const scenario = SCENARIOS[options.scenario];
  const universe = new Universe({
    seed: options.seed,
    startMs: startOf(options.seed),
    migrations,
    isolates: scenario.isolates,
    faults: scenario.faults,
    machine,
  });
  const { scheduler, faults, random, trace } = universe;
  const until = (done: () => boolean, withinMs: number) => {
    const endMs = universe.nowMs + withinMs;
    scheduler.after(withinMs, WORLD, () => {});
    scheduler.run(() => universe.nowMs >= endMs || done());
  };

  faults.on = false;
  const accounts = waitFor(until, settleIn(universe, scenario.population));
  faults.on = scenario.faults > 0;
  const seeds = Array.from({ length: scenario.nodes }, () => universe.secretRandom.fill(new Uint8Array(32)));
  const nodes = seeds.map(
    (seed, index) => new SimNode(universe, { id: newId(universe, 'node'), index, seed }),
  );
  const traffic = new Traffic(universe, accounts, scenario.style);
  const provider = new Provider(universe);
  const revocations: { keyId: string; atMs: number }[] = [];
  const weather = { universe, nodes, accounts, revocations };
  const dispatches: Dispatch[] = [];
  witnessDispatches(universe, nodes, traffic, dispatches);
  const skew = new Set<number>([0]);
  const noteClocks = () => {
    for (const { life } of universe.isolates) skew.add(Math.abs(life.offsetMs));
  };

  // nodes are known before the first request
  until(() => false, 500);
  traffic.begin(options.requests);
  const spanMs = (options.requests / scenario.style.perSecond) * 1_000;
  if (faults.on) blow(weather, spanMs);
  storm(weather, { storms: scenario.storms, spanMs });
  scheduler.after(spanMs * random.between(0.3, 0.6), WORLD, () => revoke(weather));
  for (const [i, share] of [0.3, 0.7].entries())
    scheduler.after(spanMs * share, WORLD, () => changePrice(universe, i + 2));
  const payer = accounts.find(({ kind }) => kind === 'payer');
  for (let i = 0; payer && i < 6; i++)
    scheduler.after(
      (spanMs * i) / 6,
      WORLD,
      () => void provider.sell(payer).catch(() => trace.count('top-up not begun')),
    );
  const everyTick = () => {
    noteClocks();
    scheduler.after(500, WORLD, everyTick);
  };
  everyTick();
  until(() => traffic.asked >= options.requests && traffic.running === 0, spanMs + 400_000);

  const probes: { what: string; served: boolean }[] = traffic.giveUp();
  const witnesses = () => ({
    universe,
    accounts,
    nodes,
    clients: traffic.clients,
    dispatches,
    payments: provider.payments,
    revocations,
    probes,
    clockSkewMs: Math.max(...skew),
  });
  const unsafe = brokenLaws(testify(witnesses(), { final: false }));

  faults.on = false;
  for (const node of nodes) {
    node.restart();
    node.setClock(0);
  }
  for (const index of universe.isolates.keys()) universe.replaceIsolate(index);
  until(() => false, 12_000);
  for (let i = 0; i < 3; i++) {
    const answers = Array.from({ length: 3 }, () => traffic.probe());
    for (const answer of answers) {
      const seen = waitFor(until, answer);
      if (scenario.faults > 0)
        probes.push({ what: seen.requestId ?? 'probe', served: seen.ending === 'whole' });
    }
  }
  const settled = () =>
    nodes.every(({ unacknowledged, inFlight }) => unacknowledged === 0 && inFlight === 0) &&
    provider.undelivered === 0 &&
    accounts.every(({ id }) => isAtRest(universe, id));
  for (let waitedMs = 0; waitedMs < SETTLE_WITHIN_MS && !settled(); waitedMs += 1_000)
    until(() => false, 1_000);
  const world = testify(witnesses(), { final: true });
  const violations = [...unsafe, ...brokenLaws(world), ...scenario.judge(world)];
  countEndings(world, trace.counts);
  return {
    ...options,
    digest: trace.digest,
    asked: traffic.asked,
    violations,
    history: [...new Set(violations.map(({ about }) => about))]
      .slice(0, 3)
      .flatMap((about) => [`— ${about}`, ...trace.lastAbout(about, 40)]),
    counts: Object.fromEntries(trace.counts),
  };
}

function startOf(seed: number): number {
  const minute = [990, 30, 700][seed % 3]!;
  return START_DAY_MS + (seed % 20) * DAY_MS + minute * 60_000 - 25_000;
}

function waitFor<T>(until: (done: () => boolean, withinMs: number) => void, promise: Promise<T>): T {
  let outcome: { value: T } | { error: unknown } | null = null;
  promise.then(
    (value) => (outcome = { value }),
    (error: unknown) => (outcome = { error }),
  );
  until(() => outcome !== null, 300_000);
  const ended = outcome as { value: T } | { error: unknown } | null;
  if (ended === null) throw new Error('nothing answers');
  if ('error' in ended) throw ended.error;
  return ended.value;
}

function isAtRest(universe: Universe, accountId: string): boolean {
  const { sql } = universe.host('Wallet', accountId);
  const [row] = sql.rows<{ busy: number }>(
    `SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM request WHERE state = 'held')
       + (SELECT count(*) FROM lease WHERE ended_at_ms IS NULL) AS busy`,
  );
  return row!.busy === 0;
}

function witnessDispatches(
  universe: Universe,
  nodes: readonly SimNode[],
  traffic: Traffic,
  dispatches: Dispatch[],
): void {
  const ids = new Map(nodes.map(({ id, origin }) => [origin, id]));
  const known = new Set<string>();
  universe.onDispatch = (exchange, isolate) => {
    if (exchange.path !== '/v1/generate') return;
    const claims = exchange.claims();
    exchange.isRetry = known.has(claims.jti);
    known.add(claims.jti);
    for (const each of isolate.exchanges) if (each.finished) isolate.exchanges.delete(each);
    const others = [...isolate.exchanges].filter((each) => each !== exchange && each.path === exchange.path);
    dispatches.push({
      requestId: claims.jti,
      accountId: claims.sub,
      nodeId: ids.get(exchange.origin)!,
      atMs: universe.nowMs,
      byteLeftBefore: traffic.left.has(claims.jti),
      active: others.length,
      retrying: others.filter(({ isRetry, begun }) => isRetry && !begun).length,
      cacheSalt: /"cache_salt":"([^"]*)"/.exec(exchange.body)?.[1] ?? '',
    });
  };
}

function countEndings(world: ReturnType<typeof testify>, counts: Map<string, number>): void {
  const add = (what: string, by: number) => counts.set(what, (counts.get(what) ?? 0) + by);
  for (const { request } of world.accounts)
    for (const { state, ending, completion_tokens } of request ?? []) {
      add(`ended ${state} ${ending}`, 1);
      add('tokens billed', completion_tokens);
    }
  for (const { counts } of world.nodes ?? [])
    for (const { completionTokens, tailTokensMax } of counts) {
      add('tokens counted', completionTokens);
      add('tokens unseen', tailTokensMax ?? 0);
    }
  for (const { written_off_completion_tokens } of world.d1?.node_receipt ?? [])
    add('tokens written off', written_off_completion_tokens);
  add('dispatches', world.dispatches?.length ?? 0);
  add('requests at a node', new Set(world.dispatches?.map(({ requestId }) => requestId)).size);
}
