/** Service status from probes: a component's present state, and its uptime. */

/** The component that stands for the API itself. */
export const API_COMPONENT = 'api';

export interface Probe {
  /** `api`, or a model's id. */
  readonly component: string;
  readonly atMs: number;
  readonly ok: boolean;
  readonly latencyMs: number;
  readonly fault: ProbeFault | null;
}

export type ProbeFault = 'store' | 'no_node' | 'no_answer';

/** degraded: a recent probe failed · down: the last probes all failed · unknown: there is no recent probe */
export type ServiceState = 'operational' | 'degraded' | 'down' | 'unknown';

const MIN_MS = 60_000;
/** Probes run every minute; after five minutes without one, something keeps them from running. */
const STALE_MS = 5 * MIN_MS;
/** A failure counts as recent for this long. */
const RECENT_MS = 15 * MIN_MS;
/** A single probe may fail by chance; three in a row do not. */
const DOWN_AFTER = 3;

/** @param probes probes of one component, newest first */
export function stateOf(probes: readonly Probe[], nowMs: number): ServiceState {
  const [last] = probes;
  if (last === undefined || nowMs - last.atMs > STALE_MS) return 'unknown';
  const latest = probes.slice(0, DOWN_AFTER);
  if (latest.length === DOWN_AFTER && latest.every(({ ok }) => !ok)) return 'down';
  return probes.some(({ ok, atMs }) => !ok && nowMs - atMs <= RECENT_MS) ? 'degraded' : 'operational';
}

const SEVERITY = ['operational', 'degraded', 'down'] as const;

/** The worst of the known states; unknown when none is known. */
export function overall(states: readonly ServiceState[]): ServiceState {
  const known = states.filter((state) => state !== 'unknown');
  return known.length === 0
    ? 'unknown'
    : known.reduce((worst, state) => (SEVERITY.indexOf(state) > SEVERITY.indexOf(worst) ? state : worst));
}

/** Median latency of the probes that were answered; null: none was. */
export function medianLatencyMs(probes: readonly Probe[]): number | null {
  const sorted = probes.flatMap(({ ok, latencyMs }) => (ok ? latencyMs : [])).sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}

/** Counts of one day, or of several days together. */
export interface ProbeCounts {
  readonly probes: number;
  readonly failures: number;
}

/** Fraction of probes that were answered, 0 to 1; null: there were no probes. */
export function uptime(counted: readonly ProbeCounts[]): number | null {
  const probes = counted.reduce((sum, each) => sum + each.probes, 0);
  const failures = counted.reduce((sum, each) => sum + each.failures, 0);
  return probes === 0 ? null : 1 - failures / probes;
}
