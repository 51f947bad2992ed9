/**
 * The simulation's command line: runs worlds from seeds until a number of requests was made or a law is broken.
 * Run it with a Node that strips types and has node:sqlite: `node tests/simulation/main.ts --help`.
 */
import { parseArgs } from 'node:util';
import { bundleEdge } from './bundle/bundle.ts';
import { formatViolations, Totals } from './report.ts';
import { SCENARIOS, type ScenarioName, SHARES } from './scenarios.ts';
import { runInThreads, type ThreadRun } from './threads.ts';

const HELP = `node tests/simulation/main.ts [options]

  --seed N        seed of the first world; each further world has the next number (default 1)
  --requests N    requests in each world (default 1500 to 10000, by scenario)
  --total N       requests in all worlds together (default: those of one world)
  --threads N     worlds that run at the same time (default 1, or 2 for several worlds)
  --scenario S    ${Object.keys(SCENARIOS).join(', ')} (default mixed), or all: a fraction of each
  --keep-going    continue after a world that breaks a law
`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    requests: { type: 'string' },
    total: { type: 'string' },
    threads: { type: 'string' },
    scenario: { type: 'string', default: 'mixed' },
    'keep-going': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const known = values.scenario === 'all' || Object.hasOwn(SCENARIOS, values.scenario);
if (values.help || !known) {
  console.log(HELP);
  process.exit(values.help ? 0 : 2);
}
const runs =
  values.scenario === 'all' ? runsOfAllScenarios() : runsOf(values.scenario as ScenarioName, values.total);
const worlds = runs.length;
const startedMs = performance.now();
const totals = new Totals();
let broken = 0;

await runInThreads(runs, {
  threads: Math.min(worlds, Number(values.threads ?? 2)),
  bundle: await bundleEdge(),
  onResult(result) {
    totals.add(result);
    if (worlds === 1) console.log(`digest ${result.digest}`);
    else if (totals.runs % 20 === 0) console.log(`${totals.runs} of ${worlds} worlds, ${rate()}`);
    if (result.violations.length === 0) return true;
    broken += 1;
    console.error(formatViolations(result));
    return values['keep-going'];
  },
});

console.log(`\n${totals.format()}\n`);
console.log(
  `${totals.runs} worlds, ${rate()}, ${(100 * totals.servedFraction).toFixed(1)} % of the requests reached a node`,
);
console.log(broken === 0 ? 'No law is broken.' : `${broken} worlds break a law.`);
process.exit(broken === 0 ? 0 : 1);

function rate(): string {
  const seconds = (performance.now() - startedMs) / 1_000;
  const perSecond = Math.round(totals.requestsSent / seconds).toLocaleString('en');
  return `${totals.requestsSent.toLocaleString('en')} requests in ${seconds.toFixed(0)} s, ${perSecond} a second`;
}

/** Runs of one scenario with consecutive seeds, as many as `total` requests need. */
function runsOf(scenario: ScenarioName, total: string | number | undefined): ThreadRun[] {
  const requests = Number(values.requests ?? SCENARIOS[scenario].requests);
  const count = Math.max(1, Math.ceil(Number(total ?? requests) / requests));
  return Array.from({ length: count }, (_, i) => ({ seed: Number(values.seed) + i, requests, scenario }));
}

function runsOfAllScenarios(): ThreadRun[] {
  const total = Number(values.total ?? 100_000);
  const shares = Object.entries(SHARES) as [ScenarioName, number][];
  return shares.flatMap(([scenario, fraction]) => runsOf(scenario, total * fraction));
}
