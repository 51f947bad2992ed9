/**
 * Runs the edge as a process: the Worker's production bundle in workerd, with the bindings that wrangler.toml
 * names. It does not use `wrangler dev`, whose proxy hides from the Worker that a client left before its answer
 * began.
 */
import { dirname, join } from 'node:path';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { unstable_getMiniflareWorkerOptions } from 'wrangler';
import { modulesOf } from './modules.ts';

/**
 * Options that startEdge (edge.ts) passes as JSON in the environment, because secrets must not be on a command
 * line.
 */
export interface EdgeProcessOptions {
  readonly port: number;
  /** The main module of a bundled Worker, with its other modules beside it. */
  readonly script: string;
  /** Where D1 and the Durable Objects live: the folder that wrangler calls `--persist-to`. */
  readonly persistTo: string;
  /** Runs every minute what Cloudflare's cron runs. */
  readonly probes?: boolean;
  /** Settings and secrets of worker/env.ts. */
  readonly settings: Record<string, string>;
}

const options = JSON.parse(process.env.TOLLGATE_EDGE_PROCESS ?? '{}') as EdgeProcessOptions;
const { workerOptions } = unstable_getMiniflareWorkerOptions('wrangler.toml');
const { bindings, modulesRules: _rules, ...fromConfig } = workerOptions;

const edge = new Miniflare(
  convertV4MiniflareOptions({
    host: '127.0.0.1',
    port: options.port,
    log: new Log(LogLevel.INFO),
    // Allows a cron run by hand: GET /cdn-cgi/local/scheduled.
    unsafeTriggerHandlers: true,
    // The layout in which wrangler's own commands find the same database.
    resourcePersistencePath: join(options.persistTo, 'v3'),
    workers: [
      {
        ...fromConfig,
        name: 'tollgate',
        modulesRoot: dirname(options.script),
        modules: modulesOf(options.script).map((path) => ({ type: 'ESModule' as const, path })),
        bindings: { ...(bindings as Record<string, string>), ...options.settings },
      },
    ],
  }),
);
const url = await edge.ready;
console.log(JSON.stringify({ listening: url.origin }));

/** A node takes some seconds to be admitted; before this delay a probe would find none. */
const FIRST_PROBE_MS = 10_000;
const PROBE_EVERY_MS = 60_000;

async function probe(): Promise<void> {
  const worker = await edge.getWorker();
  const { outcome } = await worker.scheduled({ scheduledTime: new Date() });
  if (outcome !== 'ok') console.error(`the minute's work of the edge ended as ${outcome}`);
}

if (options.probes) {
  setTimeout(() => {
    void probe();
    setInterval(() => void probe(), PROBE_EVERY_MS);
  }, FIRST_PROBE_MS);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void edge.dispose().then(() => process.exit(0)));
}
