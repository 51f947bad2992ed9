/** `npm run bench -- --profile`: profiles Tollgate's isolate (its Worker, Wallet and Pool) under load. */
import { join } from 'node:path';
import { modulesOf } from '../../gpu-pool/local/modules.ts';
import { run } from '../../gpu-pool/local/process.ts';
import { cpuProfile, saveProfile, topBySelfTime } from './cpu-profile.ts';
import { startLoad } from './load.ts';
import { measure } from './measure.ts';
import { SMALL_WORLD, startTollgate } from './systems/tollgate.ts';
import { startUpstream } from './upstream.ts';
import type { Workload } from './workloads.ts';

const TOP = 40;
const WARM_UP_SECONDS = 2;
/** The fraction of cores that the profiler itself uses all the time. */
const PROFILER_SHARE = 2;

export async function profileTollgate(order: {
  /** A folder that is empty or does not exist. */
  readonly dir: string;
  /** The path of the profile to write. */
  readonly file: string;
  readonly workload: Workload;
  readonly connections: number;
  readonly seconds: number;
}): Promise<void> {
  const { dir, file, workload, connections, seconds } = order;
  const script = await readableBundle(join(dir, 'readable'));
  const upstream = await startUpstream();
  const load = startLoad();
  try {
    const started = { dir: join(dir, 'tollgate'), modules: modulesOf(script), world: SMALL_WORLD, upstream };
    const tollgate = await startTollgate({ ...started, inspected: true });
    try {
      const ask = (lasting: number) => () =>
        measure(load, tollgate, { workload, connections, seconds: lasting }, PROFILER_SHARE);
      await ask(WARM_UP_SECONDS)();
      let answered = 0;
      const profile = await cpuProfile(tollgate.worker.inspectorUrl!, async () => {
        ({ answered } = await ask(seconds)());
      });
      saveProfile(file, profile);
      console.log(
        `\n${workload.title}, ${connections} connections, ${answered} requests; by time of their own`,
      );
      for (const { name, ms, share } of topBySelfTime(profile, TOP)) {
        const each = `${((1_000 * ms) / answered).toFixed(1)} µs`;
        console.log(`${(100 * share).toFixed(1).padStart(6)} % ${each.padStart(11)} a request  ${name}`);
      }
      console.log(`\n${file}: for DevTools, Performance, Load profile`);
    } finally {
      await tollgate.stop();
    }
  } finally {
    await Promise.all([load.stop(), upstream.stop()]);
  }
}

/** Bundles the Worker as it is deployed, but unminified, so that functions keep their names. */
async function readableBundle(dir: string): Promise<string> {
  await run('npm', ['run', '--silent', 'bundle', '--', '--minify=false', `--outdir=${dir}`]);
  return join(dir, 'index.js');
}
