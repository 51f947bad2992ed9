/** One run: a world from a seed, a safety phase with every fault, a liveness phase without faults, then the laws. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brokenLaws, type Violation } from '../laws/laws.ts';
import type { Dispatch, World } from '../laws/world.ts';
import { changePrice, revokeKey, scheduleStorms, startBackgroundFaults } from './background-faults.ts';
import type { Machine } from './bundle/machine.ts';
import { collectEvidence } from './evidence.ts';
import { newId } from './ids.ts';
import { WORLD } from './life.ts';
import { type Account, createAccounts } from './population.ts';
import { Provider } from './provider.ts';
import { SCENARIOS, type Scenario, type ScenarioName } from './scenarios.ts';
import { GRACE_MS, LEASE_MS } from './settings.ts';
import { SimNode } from './sim-node.ts';
import { Traffic } from './traffic.ts';
import { Universe } from './universe.ts';

export interface RunOptions {
  readonly seed: number;
  readonly requests: number;
  readonly scenario: ScenarioName;
}

export interface RunResult extends RunOptions {
  readonly digest: string;
  readonly requestsSent: number;
  readonly violations: readonly Violation[];
  /** The last events about the subjects of the first violations. */
  readonly history: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

const DAY_MS = 86_400_000;
/** A day in a future year, because prices may not begin in the past. Runs start near the boundaries of R1's off-peak price. */
const START_DAY_MS = Date.UTC(2031, 4, 6);
/** An unproved hold lasts for its lease and its grace; the extra minute is for one whose answer was long. */
const SETTLE_WITHIN_MS = LEASE_MS + GRACE_MS + 60_000;

const MIGRATIONS = join(import.meta.dirname, '../../migrations');
const migrations = readdirSync(MIGRATIONS)
  .filter((name) => name.endsWith('.sql'))
  .sort()
  .map((name) => readFileSync(join(MIGRATIONS, name), 'utf8'));

/**
 * Runs a world. One that comes to a halt breaks the liveness law. Call this from a macrotask: inside a promise reaction
 * V8 runs no other reactions (see drainMicrotasks).
 */
export function simulate(options: RunOptions, machine: Machine): RunResult {
  try {
    return runPhases(options, machine);
  } catch (error) {
    const what = `came to a halt: ${error instanceof Error ? error.stack : String(error)}`;
    const violations = [{ law: 'L13', about: 'the world', what }] as const;
    return { ...options, digest: '', requestsSent: 0, violations, history: [], counts: {} };
  }
}

/** Runs the world until a condition holds, for `withinMs` of virtual time at most. */
type RunUntil = (done: () => boolean, withinMs: number) => void;

/** A world with everything that acts on it and everything that is recorded about it. */
interface Run {
  readonly options: RunOptions;
  readonly scenario: Scenario;
  readonly universe: Universe;
  readonly runUntil: RunUntil;
  readonly accounts: readonly Account[];
  readonly nodes: readonly SimNode[];
  readonly traffic: Traffic;
  readonly provider: Provider;
  readonly revocations: { keyId: string; atMs: number }[];
  readonly dispatches: Dispatch[];
  readonly probes: { what: string; served: boolean }[];
  /** Every distance of an isolate's clock from the world's. */
  readonly clockSkewsMs: Set<number>;
}

function runPhases(options: RunOptions, machine: Machine): RunResult {
  const run = setUp(options, machine);
  runSafetyPhase(run);
  const violations = brokenLaws(evidenceOf(run, { final: false }));
  runLivenessPhase(run);
  const world = evidenceOf(run, { final: true });
  violations.push(...brokenLaws(world), ...run.scenario.check(world));
  const { trace } = run.universe;
  countEndings(world, trace.counts);
  return {
    ...options,
    digest: trace.digest,
    requestsSent: run.traffic.sent,
    violations,
    history: [...new Set(violations.map(({ about }) => about))]
      .slice(0, 3)
      .flatMap((about) => [`— ${about}`, ...trace.lastAbout(about, 40)]),
    counts: Object.fromEntries(trace.counts),
  };
}

function setUp(options: RunOptions, machine: Machine): Run {
  const scenario: Scenario = SCENARIOS[options.scenario];
  const universe = new Universe({
    seed: options.seed,
    startMs: startOf(options.seed),
    migrations,
    isolates: scenario.isolates,
    faults: scenario.faults,
    machine,
  });
  const { scheduler, faults, secretRandom } = universe;
  const runUntil: RunUntil = (done, withinMs) => {
    const endMs = universe.nowMs + withinMs;
    scheduler.after(withinMs, WORLD, () => {});
    scheduler.run(() => universe.nowMs >= endMs || done());
  };
  faults.on = false;
  const accounts = waitFor(runUntil, createAccounts(universe, scenario.population));
  faults.on = scenario.faults > 0;
  const seeds = Array.from({ length: scenario.nodes }, () => secretRandom.fill(new Uint8Array(32)));
  const nodes = seeds.map(
    (seed, index) => new SimNode(universe, { id: newId(universe, 'node'), index, seed }),
  );
  const traffic = new Traffic(universe, accounts, scenario.profile);
  const provider = new Provider(universe);
  const dispatches: Dispatch[] = [];
  recordDispatches(universe, nodes, traffic, dispatches);
  return {
    options,
    scenario,
    universe,
    runUntil,
    accounts,
    nodes,
    traffic,
    provider,
    revocations: [],
    dispatches,
    probes: [],
    clockSkewsMs: new Set([0]),
  };
}

/** Sends all requests while faults happen. Clients that still wait at the end count as probes that were not served. */
function runSafetyPhase(run: Run): void {
  const { options, scenario, universe, runUntil, accounts, traffic, provider } = run;
  const { scheduler, faults, random, trace } = universe;
  // nodes send their first heartbeats before the first request
  runUntil(() => false, 500);
  traffic.begin(options.requests);
  const spanMs = (options.requests / scenario.profile.perSecond) * 1_000;
  if (faults.on) startBackgroundFaults(run, spanMs);
  scheduleStorms(run, { storms: scenario.storms, spanMs });
  scheduler.after(spanMs * random.between(0.3, 0.6), WORLD, () => revokeKey(run));
  for (const [i, fraction] of [0.3, 0.7].entries())
    scheduler.after(spanMs * fraction, WORLD, () => changePrice(universe, i + 2));
  const payer = accounts.find(({ kind }) => kind === 'payer');
  for (let i = 0; payer && i < 6; i++)
    scheduler.after(
      (spanMs * i) / 6,
      WORLD,
      () => void provider.startTopUp(payer).catch(() => trace.count('top-up not begun')),
    );
  const recordClocks = () => {
    for (const { life } of universe.isolates) run.clockSkewsMs.add(Math.abs(life.offsetMs));
    scheduler.after(500, WORLD, recordClocks);
  };
  recordClocks();
  runUntil(() => traffic.sent >= options.requests && traffic.running === 0, spanMs + 400_000);
  run.probes.push(...traffic.abandonWaiting());
}

/** Ends all faults, sends probes, which must be served, and waits until nothing is pending. */
function runLivenessPhase(run: Run): void {
  const { scenario, universe, runUntil, accounts, nodes, traffic, provider } = run;
  universe.faults.on = false;
  for (const node of nodes) {
    node.restart();
    node.setClock(0);
  }
  for (const index of universe.isolates.keys()) universe.replaceIsolate(index);
  runUntil(() => false, 12_000);
  for (let i = 0; i < 3; i++) {
    const answers = Array.from({ length: 3 }, () => traffic.probe());
    for (const answer of answers) {
      const seen = waitFor(runUntil, answer);
      if (scenario.faults > 0)
        run.probes.push({ what: seen.requestId ?? 'probe', served: seen.ending === 'whole' });
    }
  }
  const isSettled = () =>
    nodes.every(({ unacknowledged, inFlight }) => unacknowledged === 0 && inFlight === 0) &&
    provider.undelivered === 0 &&
    accounts.every(({ id }) => isAtRest(universe, id));
  for (let waitedMs = 0; waitedMs < SETTLE_WITHIN_MS && !isSettled(); waitedMs += 1_000)
    runUntil(() => false, 1_000);
}

function evidenceOf(run: Run, { final }: { final: boolean }): World {
  const sources = {
    ...run,
    clients: run.traffic.clients,
    payments: run.provider.payments,
    clockSkewMs: Math.max(...run.clockSkewsMs),
  };
  return collectEvidence(sources, { final });
}

function startOf(seed: number): number {
  const minute = [990, 30, 700][seed % 3]!;
  return START_DAY_MS + (seed % 20) * DAY_MS + minute * 60_000 - 25_000;
}

function waitFor<T>(runUntil: RunUntil, promise: Promise<T>): T {
  let outcome: { value: T } | { error: unknown } | null = null;
  promise.then(
    (value) => (outcome = { value }),
    (error: unknown) => (outcome = { error }),
  );
  runUntil(() => outcome !== null, 300_000);
  const ended = outcome as { value: T } | { error: unknown } | null;
  if (ended === null) throw new Error('nothing answers');
  if ('error' in ended) throw ended.error;
  return ended.value;
}

function isAtRest(universe: Universe, accountId: string): boolean {
  const { sql } = universe.host('Wallet', accountId);
  const published = universe.d1.rows<{ account_id: string; told_seq: number }>('projection');
  const publishedSeq = published.find(({ account_id }) => account_id === accountId)?.told_seq ?? 0;
  const [row] = sql.rows<{ busy: number }>(
    `SELECT (SELECT count(*) FROM request WHERE outbox_seq > ${publishedSeq}) + (SELECT count(*) FROM outbox) + (SELECT count(*) FROM request WHERE state = 'held')
       + (SELECT count(*) FROM lease WHERE ended_at_ms IS NULL) AS busy`,
  );
  return row!.busy === 0;
}

/** Records each request that leaves an isolate for a node. */
function recordDispatches(
  universe: Universe,
  nodes: readonly SimNode[],
  traffic: Traffic,
  dispatches: Dispatch[],
): void {
  const ids = new Map(nodes.map(({ id, origin }) => [origin, id]));
  const known = new Set<string>();
  universe.onDispatch = (exchange, caller) => {
    if (exchange.path !== '/v1/generate') return;
    const claims = exchange.claims();
    exchange.isRetry = known.has(claims.jti);
    known.add(claims.jti);
    for (const each of caller.exchanges) if (each.finished) caller.exchanges.delete(each);
    const others = [...caller.exchanges].filter((each) => each !== exchange && each.path === exchange.path);
    dispatches.push({
      requestId: claims.jti,
      accountId: claims.sub,
      nodeId: ids.get(exchange.origin)!,
      atMs: universe.nowMs,
      byteLeftBefore: traffic.answered.has(claims.jti),
      active: others.length,
      retrying: others.filter(({ isRetry, begun }) => isRetry && !begun).length,
      cacheSalt: /"cache_salt":"([^"]*)"/.exec(exchange.body)?.[1] ?? '',
    });
  };
}

function countEndings(world: World, counts: Map<string, number>): void {
  const add = (what: string, count: number) => counts.set(what, (counts.get(what) ?? 0) + count);
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
