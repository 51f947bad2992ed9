/**
 * `npm run pool-load`: measures the load that one Pool can take, with the production bundle in workerd, a thousand nodes and
 * two thousand isolates of one data center. A second Worker in the same process plays nodes and isolates, so all share one
 * processor and every figure is a lower bound.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { unstable_getMiniflareWorkerOptions } from 'wrangler';
import { bundle, databaseIn, migrate } from '../../gpu-pool/local/edge.ts';
import { modulesOf } from '../../gpu-pool/local/modules.ts';
import { HEARTBEAT_INTERVAL_MS } from '../../gpu-pool/protocol/schemas.ts';
import { SETTINGS } from '../simulation/settings.ts';
import type { Measured, Order } from './figures.ts';

const NODES = 1_000;
const READERS = 2_000;
/** Cloudflare's limit for one Durable Object (developers.cloudflare.com/durable-objects/platform/limits). */
const OBJECT_CALLS_PER_SECOND = 1_000;
const HEARTBEATS_PER_SECOND = (NODES * 1_000) / HEARTBEAT_INTERVAL_MS;
/** An isolate with at least a request a second refreshes its snapshot once a second. */
const REFRESHES_PER_SECOND = READERS;

const stateDir = mkdtempSync(join(tmpdir(), 'tollgate-pool-load-'));
console.log('Bundling …');
const [script, driver] = await Promise.all([bundle(stateDir), bundleDriver(stateDir), migrate(stateDir)]);
const { workerOptions } = unstable_getMiniflareWorkerOptions('wrangler.toml');
const { bindings, modulesRules: _rules, ...fromConfig } = workerOptions;
const world = new Miniflare(
  convertV4MiniflareOptions({
    log: new Log(LogLevel.ERROR),
    resourcePersistencePath: join(databaseIn(stateDir), 'v3'),
    workers: [
      {
        ...fromConfig,
        name: 'tollgate',
        modulesRoot: dirname(script),
        modules: modulesOf(script).map((path) => ({ type: 'ESModule' as const, path })),
        bindings: { ...(bindings as Record<string, string>), ...SETTINGS },
      },
      {
        name: 'driver',
        compatibilityDate: '2026-11-01',
        compatibilityFlags: ['nodejs_compat'],
        modulesRoot: dirname(driver),
        modules: [{ type: 'ESModule', path: driver }],
        bindings: { ...SETTINGS },
        durableObjects: { POOL: { className: 'Pool', scriptName: 'tollgate' } },
      },
    ],
  }),
);

try {
  const drive = await world.getWorker('driver');
  const measure = async (phase: Order['phase'], seconds: number): Promise<Measured> => {
    const heartbeatEveryMs = HEARTBEAT_INTERVAL_MS;
    const order: Order = { phase, seconds, nodes: NODES, readers: READERS, heartbeatEveryMs };
    const response = await drive.fetch('http://driver/', { method: 'POST', body: JSON.stringify(order) });
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as Measured;
  };
  await measure('register', 0);
  const alone = await measure('heartbeats', 5);
  const routes = await measure('routes', 3);
  const together = await measure('together', 10);

  const beats = alone.heartbeats.count / alone.seconds;
  const reads = routes.reads.count / routes.seconds;
  line(`heartbeats, nothing else`, beats, '/s', beats / HEARTBEATS_PER_SECOND);
  line(`reads past the cache, nothing else`, reads, '/s', reads / REFRESHES_PER_SECOND);
  line('snapshot', routes.snapshotBytes / 1024, 'KiB');
  line('  a node', routes.snapshotBytes / NODES, 'bytes');

  console.log(`\n${NODES} nodes and ${READERS} isolates together, ${together.seconds.toFixed(0)} s:`);
  const { heartbeats, refreshes, poolCalls } = together;
  const perSecond = (count: number) => count / together.seconds;
  line('heartbeats', perSecond(heartbeats.count), '/s', perSecond(heartbeats.count) / HEARTBEATS_PER_SECOND);
  line('  p50, p99', heartbeats.p50Ms, 'ms', undefined, `${heartbeats.p99Ms} ms`);
  line('requests that need a snapshot', perSecond(together.reads.count), '/s');
  line('  p50, p99', together.reads.p50Ms, 'ms', undefined, `${together.reads.p99Ms} ms`);
  line('of those past the memory', perSecond(refreshes), '/s', perSecond(refreshes) / REFRESHES_PER_SECOND);
  line('of those past the cache', perSecond(poolCalls), '/s');
  line('  cache hit rate', 100 * (1 - poolCalls / refreshes), '%');
  line('age of what is routed by, p50, p99', together.ageMs.p50, 'ms', undefined, `${together.ageMs.p99} ms`);
  const calls = perSecond(heartbeats.count + poolCalls);
  line('calls to the one object', calls, '/s', calls / OBJECT_CALLS_PER_SECOND);
} finally {
  await world.dispose();
  rmSync(stateDir, { recursive: true, force: true });
}

/** @param ratio the value relative to what is needed, or to what is allowed */
function line(what: string, value: number, unit: string, ratio?: number, more = ''): void {
  const shown = value.toLocaleString('en', { maximumFractionDigits: 1 });
  const times = ratio === undefined ? more : `${ratio.toFixed(2)} ×`;
  console.log(`${what.padEnd(38)} ${shown.padStart(10)} ${unit.padEnd(5)} ${times.padStart(9)}`);
}

async function bundleDriver(dir: string): Promise<string> {
  const outfile = join(dir, 'driver.js');
  await build({
    entryPoints: [join(import.meta.dirname, '../worker/fleet/pool-driver.ts')],
    outfile,
    bundle: true,
    format: 'esm',
    target: 'es2024',
    conditions: ['worker', 'import'],
    external: ['cloudflare:*', 'node:*'],
  });
  return outfile;
}
