/** `npm test`: every check, each named with its time. */
import { ASSETS, LAWS, LINT, runSteps, TYPES, tests } from './checks.ts';

const EVERY_SCENARIO = ['--scenario', 'all', '--total', '1000000'];

await runSteps([
  [LINT],
  TYPES,
  [ASSETS],
  [
    tests('tests of rules and parts', ['domain', 'simulation', 'gpu-pool', 'worker']),
    // These mostly wait, for deadlines, processes and pages, so another half of the tests fits beside them.
    tests('tests of the whole', ['e2e']),
    { ...LAWS, args: [...LAWS.args, ...EVERY_SCENARIO] },
  ],
]);
