/**
 * Runs a Worker in a workerd of its own. Requests reach it by workerd's socket, because Miniflare's entry Worker costs more
 * than the Workers that are measured. The setup is the same for every Worker: without assets, which Cloudflare serves
 * before it calls a Worker, and without a proxy for `fetch`.
 */
import { dirname } from 'node:path';
import type { Miniflare } from 'miniflare';
import { answerCalls } from './child.ts';
import './direct-fetch.ts';
import { childrenOf } from './proc.ts';

const { convertV4MiniflareOptions, Log, LogLevel, Miniflare: LocalWorkers } = await import('miniflare');
const { unstable_getMiniflareWorkerOptions } = await import('wrangler');

export interface WorkerdOrder {
  /** Paths of modules in one folder; the first is the entry. */
  readonly modules: readonly string[];
  readonly settings: Readonly<Record<string, string>>;
  /** The folder of D1 and Durable Objects of a Worker with the bindings of wrangler.toml; null: no bindings */
  readonly persistTo: string | null;
  readonly inspected: boolean;
}

export interface WorkerdReady {
  readonly port: number;
  /** The process ids of workerd; empty where they cannot be found. */
  readonly pids: number[];
  readonly inspectorUrl: string | null;
}

const NAME = 'worker';
let miniflare: Miniflare | null = null;

answerCalls({ start, grant, query, stop }, stop);

async function start({ modules, settings, persistTo, inspected }: WorkerdOrder): Promise<WorkerdReady> {
  const { workerOptions } = unstable_getMiniflareWorkerOptions('wrangler.toml');
  const { bindings, modulesRules: _rules, assets: _assets, ...bound } = workerOptions;
  const { compatibilityDate, compatibilityFlags } = bound;
  const own = persistTo === null ? { compatibilityDate, compatibilityFlags } : bound;
  miniflare = new LocalWorkers(
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      cf: false,
      log: new Log(LogLevel.ERROR),
      ...(persistTo === null ? {} : { resourcePersistencePath: persistTo }),
      ...(inspected ? { inspectorPort: 0 } : {}),
      workers: [
        {
          ...own,
          name: NAME,
          modulesRoot: dirname(modules[0]!),
          modules: modules.map((path) => ({ type: 'ESModule' as const, path })),
          bindings: { ...(persistTo === null ? {} : (bindings as Record<string, string>)), ...settings },
          stripCfConnectingIp: false,
          unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
        },
      ],
    }),
  );
  await miniflare.ready;
  const url = await miniflare.unsafeGetDirectURL(NAME);
  return {
    port: Number(url.port),
    pids: childrenOf(process.pid),
    // the inspector path that Miniflare gives to a Worker
    inspectorUrl: inspected ? new URL(`/core:user:${NAME}`, await miniflare.getInspectorURL()).href : null,
  };
}

/** Grants credit to these accounts in their Wallets. */
async function grant({ accountIds, nanoUsd }: { accountIds: string[]; nanoUsd: number }): Promise<void> {
  const wallets = (await miniflare!.getDurableObjectNamespace('WALLET', NAME)) as unknown as WalletNamespace;
  for (const accountId of accountIds) {
    const wallet = wallets.get(wallets.idFromName(accountId));
    await wallet.grant({ grantId: 'bench', amountNanoUsd: nanoUsd });
  }
}

interface WalletNamespace {
  idFromName(name: string): unknown;
  get(id: unknown): { grant(grant: { grantId: string; amountNanoUsd: number }): Promise<unknown> };
}

/** @returns the first row */
async function query(sql: string): Promise<Record<string, unknown> | null> {
  const database = await miniflare!.getD1Database('DB', NAME);
  return database.prepare(sql).first();
}

async function stop(): Promise<void> {
  await miniflare?.dispose();
  miniflare = null;
}
