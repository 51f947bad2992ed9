/** Starts the systems that are to be compared, each in a process of its own. */
import { join } from 'node:path';
import { modulesOf } from '../../../gpu-pool/local/modules.ts';
import type { Before } from '../before.ts';
import type { Upstream } from '../upstream.ts';
import { startAgentAlone } from './agent.ts';
import { startBare, startReading } from './bare.ts';
import type { PeerFolders } from './peers/folders.ts';
import { startLiteLlm } from './peers/litellm.ts';
import { startOneApi } from './peers/one-api.ts';
import { startPortkey } from './peers/portkey.ts';
import { startSmg } from './peers/smg.ts';
import type { Missing, System, SystemName } from './system.ts';
import { SMALL_WORLD, startTollgate } from './tollgate.ts';
import { startTollgateWithAgent } from './tollgate-agent.ts';
import { upstreamItself } from './upstream.ts';

export interface StartOptions {
  /** A folder for the files of this run. */
  readonly dir: string;
  /** A folder that is kept between runs. */
  readonly cacheDir: string;
  /** The path of the production bundle. */
  readonly script: string;
  readonly upstream: Upstream;
  /** null: no earlier revision is measured */
  readonly before: Before | null;
}

type Start = (options: StartOptions) => System | Promise<System | Missing>;

const START: Record<SystemName, Start> = {
  upstream: ({ upstream }) => upstreamItself(upstream),
  bare: ({ dir, upstream }) => startBare(dir, upstream),
  reading: ({ dir, upstream }) => startReading(dir, upstream),
  tollgate: ({ dir, script, upstream }) =>
    startTollgate({ dir: join(dir, 'tollgate'), modules: modulesOf(script), world: SMALL_WORLD, upstream }),
  agent: ({ dir, upstream }) => startAgentAlone({ name: 'agent', dir, upstream }),
  'tollgate-before': async ({ dir, before, upstream }) => {
    const { bundle, migrate } = before!;
    const modules = modulesOf(await bundle());
    const own = { name: 'tollgate-before', dir: join(dir, 'tollgate-before'), migrate } as const;
    return startTollgate({ ...own, modules, world: SMALL_WORLD, upstream });
  },
  'agent-before': ({ dir, before, upstream }) =>
    startAgentAlone({ name: 'agent-before', dir, upstream, start: before!.startAgent }),
  'tollgate+agent': ({ dir, script, upstream }) =>
    startTollgateWithAgent(join(dir, 'tollgate-agent'), modulesOf(script), upstream),
  portkey: (options) => startPortkey(ofPeer(options)),
  smg: (options) => startSmg(ofPeer(options)),
  'one-api': (options) => startOneApi(ofPeer(options)),
  litellm: (options) => startLiteLlm(ofPeer(options)),
};

/** @param onMissing receives a line for each system that this machine cannot have */
export async function startSystems(
  names: readonly SystemName[],
  options: StartOptions,
  onMissing: (line: string) => void,
): Promise<System[]> {
  const started: System[] = [];
  try {
    for (const name of names) {
      const system = await START[name](options);
      if ('missing' in system) onMissing(`${name} is left out: ${system.missing}`);
      else started.push(system);
    }
    return started;
  } catch (error) {
    await Promise.all(started.map((system) => system.stop()));
    throw error;
  }
}

function ofPeer({ dir, cacheDir, upstream }: StartOptions): PeerFolders {
  return { dir, cacheDir, upstreamPort: upstream.port };
}
