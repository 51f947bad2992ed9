/** `npm test`: every check, each named with its time. */
import { ASSETS, inIdleTime, LAWS, LINT, runSteps, TYPES, tests } from './checks.ts';

await runSteps([
  [[LINT]],
  TYPES.map((each) => [each]),
  [[ASSETS]],
  [
    [
      tests('tests of rules and parts', ['domain', 'gpu-pool', 'worker']),
      tests('tests of the whole', ['e2e']),
    ],
    // Simulations only compute, and nothing in them depends on how long that takes: they get the processor time that
    // tests leave while they wait for deadlines, processes and pages.
    [tests('tests of simulation and scale', ['simulation']), LAWS].map(inIdleTime),
  ],
]);
