/**
 * A node's circuit breaker: closed → open → half-open → slow start → closed. It is a value; its phase follows from the
 * time. The Pool has one for each node, shared by all isolates. Each isolate also has its own for failures that it saw,
 * which acts until the Pool's snapshot has spread.
 */

export interface Breaker {
  /** Failures in a row. Each doubles the time that the breaker stays open. */
  readonly failures: number;
  /** Times in a row that the node was unreachable and came back. The first has no penalty. */
  readonly returns: number;
  /** The node gets no traffic before this. */
  readonly openUntilMs: number;
  /** Start of the slow start, in which its share of traffic grows; null: no request has succeeded since it opened. */
  readonly warmFromMs: number | null;
}

/** half_open: one request at a time is tried, until one gets a first token */
export type Phase = 'closed' | 'open' | 'half_open' | 'slow_start';

export const CLOSED: Breaker = { failures: 0, returns: 0, openUntilMs: 0, warmFromMs: 0 };

/** The first opening lasts one heartbeat interval: by then the node has reported its own state. */
const FIRST_OPENING_MS = 2_000;
/** Longest opening: a node that has failed for long is still tried once a minute. */
const OPENING_MS_MAX = 60_000;
/**
 * A failure within this time of serving again belongs to the same fault, so the
 * next opening is longer. Later ones are single events.
 */
const FAILURE_MEMORY_MS = 15_000;
/** The same for returns. It is longer, because an engine that crashes under load takes a while to do so. */
const RETURN_MEMORY_MS = 120_000;
/** After so long without a request to try the node with, the breaker closes: the Pool's knowledge of the node is newer. */
const HALF_OPEN_MS_MAX = 10_000;
/** The node has its full share again five seconds after its first token, when its cache and kernels have warmed up. */
const SLOW_START_MS = 5_000;
/** The share grows in steps, so that routing weights can be cached and need not be computed at every millisecond. */
const SLOW_START_STEPS = 10;
const STEP_MS = SLOW_START_MS / SLOW_START_STEPS;
export const SHARE_MIN = 1 / SLOW_START_STEPS;

export function phaseOf({ openUntilMs, warmFromMs }: Breaker, nowMs: number): Phase {
  // An end further ahead than the longest opening means that the clock was set back.
  if (nowMs < openUntilMs && openUntilMs - nowMs <= OPENING_MS_MAX) return 'open';
  if (warmFromMs === null) return nowMs < openUntilMs + HALF_OPEN_MS_MAX ? 'half_open' : 'closed';
  return nowMs < warmFromMs + SLOW_START_MS ? 'slow_start' : 'closed';
}

/**
 * The fraction of its full share of traffic that a node may get, above 0, at most 1. While open or half-open it is
 * SHARE_MIN, for trial requests.
 */
export function shareOf(breaker: Breaker, nowMs: number): number {
  switch (phaseOf(breaker, nowMs)) {
    case 'closed':
      return 1;
    case 'slow_start':
      return (1 + stepsSince(breaker.warmFromMs!, nowMs)) / SLOW_START_STEPS;
    default:
      return SHARE_MIN;
  }
}

/** When phase or share will next change with time alone. */
export function changesAtMs(breaker: Breaker, nowMs: number): number {
  const { openUntilMs, warmFromMs } = breaker;
  switch (phaseOf(breaker, nowMs)) {
    case 'closed':
      return Number.POSITIVE_INFINITY;
    case 'open':
      return openUntilMs;
    case 'half_open':
      return openUntilMs + HALF_OPEN_MS_MAX;
    case 'slow_start':
      return warmFromMs! + (1 + stepsSince(warmFromMs!, nowMs)) * STEP_MS;
  }
}

/**
 * Records a failure.
 * @param startedMs when the failed request began. If that was before the last opening ended, the request met the fault that
 *   opened the breaker, and the breaker stays as it is.
 */
export function fail(breaker: Breaker, { startedMs, nowMs }: { startedMs: number; nowMs: number }): Breaker {
  if (startedMs < breaker.openUntilMs) return breaker;
  const again = nowMs - breaker.openUntilMs < FAILURE_MEMORY_MS;
  const failures = again ? breaker.failures + 1 : 1;
  return { ...breaker, failures, openUntilMs: nowMs + openingMs(failures), warmFromMs: null };
}

/** Records a first token: a half-open breaker begins its slow start. */
export function succeed(breaker: Breaker, nowMs: number): Breaker {
  return phaseOf(breaker, nowMs) === 'half_open' ? { ...breaker, warmFromMs: nowMs } : breaker;
}

/** Lets the slow start begin when the opening ends. The Pool uses this, as isolates report only failures to it. */
export function warmByTime(breaker: Breaker): Breaker {
  return { ...breaker, warmFromMs: breaker.openUntilMs };
}

/** The breaker of a node that begins to serve: it has no failures, and begins with a slow start. */
export function begin(nowMs: number): Breaker {
  return { ...CLOSED, openUntilMs: nowMs, warmFromMs: nowMs };
}

/**
 * Records that the node is back after it was unreachable (silent, or without its engine). The failures of that outage are
 * over, so after a first return it serves at once, with a slow start. Each further return in a row waits, twice as long
 * as the one before.
 */
export function comeBack(
  breaker: Breaker,
  { goneAtMs, nowMs }: { goneAtMs: number; nowMs: number },
): Breaker {
  const again = goneAtMs - breaker.openUntilMs < RETURN_MEMORY_MS;
  const returns = again ? breaker.returns + 1 : 1;
  const openUntilMs = nowMs + (returns > 1 ? openingMs(returns - 1) : 0);
  return warmByTime({ failures: 0, returns, openUntilMs, warmFromMs: null });
}

function openingMs(times: number): number {
  return Math.min(OPENING_MS_MAX, FIRST_OPENING_MS * 2 ** (times - 1));
}

function stepsSince(warmFromMs: number, nowMs: number): number {
  return Math.floor((nowMs - warmFromMs) / STEP_MS);
}
