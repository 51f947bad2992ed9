/** `npm test`: every check, each named with its time. */
import { ASSETS, inIdleTime, LAWS, LINT, runSteps, TYPES, tests } from './checks.ts';

await runSteps([
  [[LINT]],
  TYPES.map((each) => [each]),
  [[ASSETS]],
  [
    [tests('tests of rules and parts', ['domain', 'gpu-pool', 'worker'])],
    // Tests of the whole mostly wait, for deadlines, processes and pages, so other lanes fit beside them.
    [tests('tests of the whole', ['e2e'])],
    // Simulations only compute, and nothing in them depends on how long that takes.
    [tests('tests of simulation and scale', ['simulation']), LAWS].map(inIdleTime),
  ],
]);
