/** `npm run fuzz -- --cases N`: Schemathesis against every operation of the OpenAPI document. Exits with 1 when a check fails. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { migrate } from '../../gpu-pool/local/edge.ts';
import { stopAll } from '../../gpu-pool/local/process.ts';
import { startStack } from '../../gpu-pool/local/stack.ts';
import { freePorts } from '../e2e/ports.ts';
import { equip, PEPPER, seedCallers } from './callers.ts';
import { answersTable } from './report.ts';
import { installSchemathesis, runSchemathesis } from './schemathesis.ts';

const USAGE = `Usage: npm run fuzz -- [--cases N] [--minutes M] [--seed S]
Installs Schemathesis beside the packages, starts an edge, three agents and emulated engines in a folder of their own,
and sends about N cases (default 20000), for at most M minutes (default 30), over every operation of the OpenAPI
document: valid and invalid, with keys of all kinds and without. A seed repeats the cases. Reports what was answered.
The folder is kept when a check fails.`;

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '20000' },
    minutes: { type: 'string', default: '30' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}

const PROGRESS_MS = 60_000;

const stateDir = mkdtempSync(join(tmpdir(), 'tollgate-fuzz-'));
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stopAll().then(() => process.exit(130)));
}
const seed = Number(values.seed);
const inState = (name: string) => join(stateDir, name);
console.log(`Seed ${seed}; state in ${stateDir}`);
try {
  const command = await installSchemathesis();
  await migrate(stateDir);
  const callers = await seedCallers(stateDir);
  const port = await freePorts(4);
  // speed 0: engines never wait
  const options = { stateDir, port, nodePort: port + 1, speed: 0, settings: { KEY_PEPPER: PEPPER } };
  const stack = await startStack({ ...options, onStep: (step) => console.log(`· ${step}…`) });
  console.log('· Equipping the accounts…');
  await equip(stack, callers);
  writeFileSync(inState('callers.json'), JSON.stringify({ seed, accounts: callers }));
  console.log('· Sending cases…');
  const progress = setInterval(() => console.log(`· ${casesSent()} cases answered…`), PROGRESS_MS);
  const exitCode = await runSchemathesis({
    command,
    origin: stack.edge.url,
    casesPerOperation: Math.ceil(Number(values.cases) / (await countOperations(stack.edge.url))),
    seed,
    minutes: Number(values.minutes),
    callersFile: inState('callers.json'),
    answersFile: inState('answers.json'),
    logFile: inState('schemathesis.log'),
  });
  clearInterval(progress);
  await stack.stop();
  const log = readFileSync(inState('schemathesis.log'), 'utf8');
  console.log(exitCode === 0 ? 'No check failed.' : log.slice(log.indexOf('= FAILURES =')));
  console.log(`\n${answersTable(answers())}`);
  if (exitCode !== 0) {
    console.log(`\nThe state is kept in ${stateDir}`);
    process.exit(1);
  }
  rmSync(stateDir, { recursive: true, force: true });
  process.exit(0);
} catch (error) {
  console.error(`\n${(error as Error).message}\nThe state is kept in ${stateDir}`);
  await stopAll();
  process.exit(2);
}

/** Counts by operation and status, as of the last case or a few hundred before it. */
function answers(): Record<string, number> {
  const file = inState('answers.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
}

function casesSent(): number {
  return Object.values(answers()).reduce((sum, count) => sum + count, 0);
}

async function countOperations(origin: string): Promise<number> {
  const document = (await (await fetch(`${origin}/openapi.json`)).json()) as {
    paths: Record<string, object>;
  };
  return Object.values(document.paths).flatMap((methods) => Object.keys(methods)).length;
}
