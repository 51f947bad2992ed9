/** The kinds of world: their accounts, traffic, nodes, isolates and faults, and what else must hold there. */
import type { Violation, World } from '../laws/world.ts';
import { attacked, MIXED_POPULATION, type Population, RACERS, withRichAccount } from './population.ts';
import { MIXED, RACE, type TrafficProfile } from './traffic.ts';

export interface Scenario {
  readonly population: Population;
  readonly profile: TrafficProfile;
  readonly nodes: number;
  readonly isolates: number;
  /** A factor on the fault rates of faults.ts; 0 turns faults off. */
  readonly faults: number;
  /** How many times half of the pool dies at once, besides all other faults. */
  readonly storms: number;
  /** The default number of requests in one world. */
  readonly requests: number;
  /** Checks what only a world of this kind can be held to. */
  check(world: World): Violation[];
}

const CALM: TrafficProfile = { ...MIXED, leaves: 0, keyed: 0 };

export const SCENARIOS = {
  /** All kinds of accounts, requests and faults. */
  mixed: {
    population: MIXED_POPULATION,
    profile: MIXED,
    nodes: 4,
    isolates: 3,
    faults: 1,
    storms: 0,
    requests: 3_000,
    check: () => [],
  },
  /** The same at three times the fault rates: about half of all requests meet a fault. */
  harsh: {
    population: MIXED_POPULATION,
    profile: { ...MIXED, perSecond: 40, leaves: 0.15, keyed: 0.25 },
    nodes: 4,
    isolates: 3,
    faults: 3,
    storms: 0,
    requests: 1_500,
    check: () => [],
  },
  /** Many requests are active in one isolate when half of the pool dies, so all want to retry at once. */
  storm: {
    population: MIXED_POPULATION,
    profile: { perSecond: 300, long: 0.02, leaves: 0.02, keyed: 0.02, streams: 0.2 },
    nodes: 4,
    isolates: 1,
    faults: 0.3,
    storms: 3,
    requests: 1_500,
    check: () => [],
  },
  /** Half of all requests are attacks; nothing else is wrong, so whatever other customers miss is the attacker's doing. */
  attack: {
    population: attacked('one'),
    profile: CALM,
    nodes: 4,
    isolates: 3,
    faults: 0,
    storms: 0,
    requests: 3_000,
    check: () => [],
  },
  /** The same without the attacker. */
  calm: {
    population: attacked('nobody'),
    profile: { ...CALM, perSecond: CALM.perSecond / 2 },
    nodes: 4,
    isolates: 3,
    faults: 0,
    storms: 0,
    requests: 1_500,
    check: () => [],
  },
  /** 10,000 requests for a cent: none overspends, and none is refused while the credit would have covered it. */
  race: {
    population: RACERS,
    profile: RACE,
    nodes: 3,
    isolates: 4,
    faults: 0,
    storms: 0,
    requests: 10_000,
    check: checkRace,
  },
  /** The race, thousands of requests for each cent, while nodes, calls and isolates fail. */
  crowd: {
    population: withRichAccount(RACERS),
    profile: { ...RACE, leaves: 0.02, keyed: 0.02 },
    nodes: 3,
    isolates: 4,
    faults: 0.5,
    storms: 0,
    requests: 10_000,
    check: checkRace,
  },
} as const satisfies Record<string, Scenario>;
export type ScenarioName = keyof typeof SCENARIOS;

/** Each scenario's fraction of the requests with --scenario all: the costlier a scenario, the smaller its fraction. */
export const SHARES = {
  mixed: 0.15,
  harsh: 0.01,
  storm: 0.01,
  attack: 0.02,
  crowd: 0.81,
} as const satisfies Partial<Record<ScenarioName, number>>;

/** Makes sure that the credit ran out. That each refusal was right and nothing overspent is checked at each call. */
function checkRace({ accounts, clients }: World): Violation[] {
  if (clients!.some(({ status }) => status === 402)) return [];
  return [{ law: 'L2', about: accounts[0]!.accountId, what: 'the credit never ran out: this was no race' }];
}
