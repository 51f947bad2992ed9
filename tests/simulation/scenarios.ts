/** What kinds of world there are: who asks, how, of how many nodes, and what else must hold there. */
import type { Violation, World } from '../laws/world.ts';
import { EVERYBODY, type Population, RACERS, withSomebodyRich } from './population.ts';
import { MIXED, RACE, type Style } from './traffic.ts';

export interface Scenario {
  readonly population: Population;
  readonly style: Style;
  readonly nodes: number;
  readonly isolates: number;
  /** how often what goes wrong: 0 never, 1 as faults.ts says */
  readonly faults: number;
  /** how often half of the pool dies at once, whatever else goes wrong */
  readonly storms: number;
  /** of one world, unless somebody says otherwise */
  readonly requests: number;
  /** laws that only this world can be held to */
  judge(world: World): Violation[];
}

export const SCENARIOS = {
  /** everybody, everything, every fault */
  mixed: {
    population: EVERYBODY,
    style: MIXED,
    nodes: 4,
    isolates: 3,
    faults: 1,
    storms: 0,
    requests: 3_000,
    judge: () => [],
  },
  /** the same in a storm: half of everything fails somewhere */
  harsh: {
    population: EVERYBODY,
    style: { ...MIXED, perSecond: 40, leaves: 0.15, keyed: 0.25 },
    nodes: 4,
    isolates: 3,
    faults: 3,
    storms: 0,
    requests: 1_500,
    judge: () => [],
  },
  /** much in flight in one isolate when half of the pool dies: everybody wants to try again at once */
  storm: {
    population: EVERYBODY,
    style: { perSecond: 300, long: 0.02, leaves: 0.02, keyed: 0.02, streams: 0.2 },
    nodes: 4,
    isolates: 1,
    faults: 0.3,
    storms: 3,
    requests: 1_500,
    judge: () => [],
  },
  /** 10,000 requests for a cent: nobody overspends, and nobody is refused what could have been paid */
  race: {
    population: RACERS,
    style: RACE,
    nodes: 3,
    isolates: 4,
    faults: 0,
    storms: 0,
    requests: 10_000,
    judge: judgeRace,
  },
  /** ten times the load: thousands of requests for each cent, while nodes, calls and isolates fail */
  crowd: {
    population: withSomebodyRich(RACERS),
    style: { ...RACE, leaves: 0.02, keyed: 0.02 },
    nodes: 3,
    isolates: 4,
    faults: 0.5,
    storms: 0,
    requests: 10_000,
    judge: judgeRace,
  },
} as const satisfies Record<string, Scenario>;
export type ScenarioName = keyof typeof SCENARIOS;

/** Shares of requests when everything is to be simulated: what costs most has the smallest. */
export const SHARES = { mixed: 0.15, harsh: 0.01, storm: 0.01, crowd: 0.83 } as const satisfies Partial<
  Record<ScenarioName, number>
>;

/** That each refusal was right and nothing was overspent is looked at call by call: this only makes sure of the race. */
function judgeRace({ accounts, clients }: World): Violation[] {
  if (clients!.some(({ status }) => status === 402)) return [];
  return [{ law: 'L2', about: accounts[0]!.accountId, what: 'never ran out: this was no race' }];
}
