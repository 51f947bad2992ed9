/**
 * Tollgate as it is deployed: the production bundle with D1, Wallet and Pool on disk and production's deadlines. Only
 * credit and limits are so high that no request is refused.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { freshState, type Migrate } from '../fresh-state.ts';
import type { NodeIdentity } from '../node-agents.ts';
import { seed, type World } from '../seed.ts';
import type { Upstream } from '../upstream.ts';
import { startWorkerd, type Workerd } from '../workerd.ts';
import { CHAT_PATH, type System } from './system.ts';

/** A million dollars in nano-USD. */
const CREDIT_NANO_USD = 1_000_000_000_000_000;

export const SMALL_WORLD: World = { nodes: 4, keys: 1, usageEvents: 0 };

export interface TollgateOptions {
  /** A folder that is empty or does not exist. */
  readonly dir: string;
  /** The paths of the production bundle's modules, the entry first. */
  readonly modules: readonly string[];
  readonly world: World;
  readonly upstream: Upstream;
  readonly inspected?: boolean;
  readonly name?: 'tollgate' | 'tollgate-before' | 'tollgate+agent';
  /** The migrations of another revision; absent: this one's */
  readonly migrate?: Migrate;
  /** Its nodes; absent: the upstream itself acts as all of them */
  readonly nodes?: Nodes;
}

/** Nodes behind one port. */
export interface Nodes {
  readonly port: number;
  /** Their processes, which count as the system's. */
  readonly pids: readonly number[];
  begin(edgeUrl: string, nodes: readonly NodeIdentity[]): Promise<void>;
  end(): Promise<void>;
  /** Counts what they have not reported to the edge. */
  pending(): Promise<number>;
  /** @throws Error when a heartbeat failed or an answer was stopped */
  verify(): Promise<void>;
}

export interface Tollgate extends System {
  readonly worker: Workerd;
}

export async function startTollgate(options: TollgateOptions): Promise<Tollgate> {
  const { dir, modules, world, upstream, inspected = false, nodes = nodesOf(upstream) } = options;
  const settings = secrets();
  const persistTo = await freshState(dir, options.migrate);
  const seedOptions = { nodePort: nodes.port, pepper: settings.KEY_PEPPER };
  const { nodes: identities, keys, accountIds } = await seed(persistTo, world, seedOptions);
  const worker = await startWorkerd({ modules, settings, persistTo, inspected });
  try {
    await worker.grant(accountIds, CREDIT_NANO_USD);
    await nodes.begin(`http://127.0.0.1:${worker.port}`, identities);
  } catch (error) {
    await nodes.end();
    await worker.stop();
    throw error;
  }
  let ended = world.usageEvents;
  return {
    name: options.name ?? 'tollgate',
    worker,
    port: worker.port,
    pids: [...worker.pids, ...nodes.pids],
    path: CHAT_PATH,
    headers: {},
    keys,
    pending: (requests) => pendingOf(nodes, worker, ended + requests),
    verify: async (requests) => {
      ended += requests;
      await nodes.verify();
    },
    stop: async () => {
      await nodes.end();
      await worker.stop();
    },
  };
}

function nodesOf(upstream: Upstream): Nodes {
  let fleet: number | null = null;
  return {
    port: upstream.port,
    pids: [],
    begin: async (edgeUrl, nodes) => {
      fleet = await upstream.beginNodes(edgeUrl, nodes);
    },
    end: async () => {
      if (fleet !== null) await upstream.endNodes(fleet);
    },
    pending: async () => (await upstream.status(fleet!)).pending,
    verify: async () => {
      const { failures, aborts } = await upstream.status(fleet!);
      if (failures + aborts > 0)
        throw new Error(`${failures} heartbeats failed, ${aborts} answers were stopped`);
    },
  };
}

/** Counts receipts that are not acknowledged, or else requests that are not billed in D1. */
async function pendingOf(nodes: Nodes, worker: Workerd, ended: number): Promise<number> {
  const pending = await nodes.pending();
  if (pending > 0) return pending;
  const { posted } = await worker.query<{ posted: number }>(
    "SELECT count(*) AS posted FROM usage_event WHERE state = 'posted' AND charge_nano_usd > 0",
  );
  return Math.abs(ended - posted);
}

function secrets() {
  const secret = () => randomBytes(32).toString('hex');
  const { privateKey } = generateKeyPairSync('ed25519');
  return {
    // The load comes over plain HTTP, which only a development edge on localhost serves.
    PUBLIC_ORIGIN: 'http://localhost:8787',
    ENVIRONMENT: 'development',
    AUTH_SECRET: secret(),
    KEY_PEPPER: secret(),
    EDGE_SIGNING_KEY: JSON.stringify(privateKey.export({ format: 'jwk' })),
    OPERATOR_TOKEN: secret(),
    SANDBOX_WEBHOOK_SECRET: secret(),
  };
}
