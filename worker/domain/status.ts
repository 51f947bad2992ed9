/** What probes say of a part of the service: how it is now, and how much of the time it was there. */

export const API = 'api';

export interface Probe {
  /** `api`, or a model's id */
  readonly component: string;
  readonly atMs: number;
  readonly ok: boolean;
  readonly latencyMs: number;
  readonly fault: ProbeFault | null;
}

export type ProbeFault = 'store' | 'no_node' | 'no_answer';

/** degraded: something failed lately · down: the last probes failed · unknown: nobody has looked lately */
export type ServiceState = 'operational' | 'degraded' | 'down' | 'unknown';

const MIN_MS = 60_000;
/** Probes come every minute: after so long without one something keeps them from coming. */
const STALE_MS = 5 * MIN_MS;
const LATELY_MS = 15 * MIN_MS;
/** One probe fails by chance; so many in a row do not. */
const DOWN_AFTER = 3;

/** @param probes of one component, the newest first */
export function stateOf(probes: readonly Probe[], nowMs: number): ServiceState {
  const [last] = probes;
  if (last === undefined || nowMs - last.atMs > STALE_MS) return 'unknown';
  const latest = probes.slice(0, DOWN_AFTER);
  if (latest.length === DOWN_AFTER && latest.every(({ ok }) => !ok)) return 'down';
  return probes.some(({ ok, atMs }) => !ok && nowMs - atMs <= LATELY_MS) ? 'degraded' : 'operational';
}

const SEVERITY = ['operational', 'degraded', 'down'] as const;

/** The worst of what is known; unknown when nothing is. */
export function overall(states: readonly ServiceState[]): ServiceState {
  const known = states.filter((state) => state !== 'unknown');
  return known.length === 0
    ? 'unknown'
    : known.reduce((worst, state) => (SEVERITY.indexOf(state) > SEVERITY.indexOf(worst) ? state : worst));
}

/** null: none was answered */
export function medianLatencyMs(probes: readonly Probe[]): number | null {
  const sorted = probes.flatMap(({ ok, latencyMs }) => (ok ? latencyMs : [])).sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}

/** Of a day, or of several together. */
export interface Counted {
  readonly probes: number;
  readonly failures: number;
}

/** Share of probes that were answered; null: there was none. */
export function uptime(counted: readonly Counted[]): number | null {
  const probes = counted.reduce((sum, each) => sum + each.probes, 0);
  const failures = counted.reduce((sum, each) => sum + each.failures, 0);
  return probes === 0 ? null : 1 - failures / probes;
}
