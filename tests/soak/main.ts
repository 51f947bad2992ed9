/** `npm run soak -- --seed N`: real processes under faults, then the laws of money. Exits with 1 when one is broken. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { stopAll } from '../../gpu-pool/local/process.ts';
import { failed, report } from './report.ts';
import { soak } from './soak.ts';

const USAGE = `Usage: npm run soak -- --seed N [--minutes M | --requests N] [--kills N]
Starts an edge, three agents and three emulated engines in a folder of their own, sends requests and injects faults for
M minutes (default 5) or N requests, lets 10,000 requests race for one cent, and compares the records of wallets, D1,
journals, engines and clients. A seed fixes the plan of requests and faults. The folder is kept when a check fails.`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    minutes: { type: 'string' },
    requests: { type: 'string' },
    kills: { type: 'string' },
    clients: { type: 'string', default: '10' },
    racers: { type: 'string', default: '10000' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}

const stateDir = mkdtempSync(join(tmpdir(), 'tollgate-soak-'));
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stopAll().then(() => process.exit(130)));
}
const requests = number('requests');
const minutes = number('minutes') ?? (requests === undefined ? 5 : undefined);
console.log(`Seed ${values.seed}; state in ${stateDir}`);
try {
  const result = await soak({
    seed: number('seed')!,
    stateDir,
    requests,
    forMs: minutes === undefined ? undefined : minutes * 60_000,
    kills: number('kills'),
    clients: number('clients'),
    racers: number('racers'),
    onProgress: (line) => console.log(`· ${line}`),
  });
  console.log(`\n${report(result)}`);
  if (failed(result)) {
    console.log(`\nThe state is kept in ${stateDir}`);
    process.exit(1);
  }
  rmSync(stateDir, { recursive: true, force: true });
  process.exit(0);
} catch (error) {
  console.error(`\n${(error as Error).stack}\nThe state is kept in ${stateDir}`);
  await stopAll();
  process.exit(2);
}

function number(
  option: 'seed' | 'minutes' | 'requests' | 'kills' | 'clients' | 'racers',
): number | undefined {
  const text = values[option];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  console.error(`--${option} must be a number, not "${text}".\n${USAGE}`);
  process.exit(2);
}
