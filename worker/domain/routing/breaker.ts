/**
 * A node's circuit breaker: closed → open → half-open → slow start → closed, as a value that time moves on by itself.
 * The Pool has one a node for everybody; each isolate has its own for what it saw itself, until the Pool's word is round.
 */

export interface Breaker {
  /** failures in a row: each doubles the next opening */
  readonly failures: number;
  /** times in a row that the node was gone and came back: the first is forgiven */
  readonly returns: number;
  /** no traffic before */
  readonly openUntilMs: number;
  /** from then on its share of traffic grows; null: nothing has come through since it opened */
  readonly warmFromMs: number | null;
}

/** half_open: one request at a time, until one gets a first token */
export type Phase = 'closed' | 'open' | 'half_open' | 'slow_start';

export const CLOSED: Breaker = { failures: 0, returns: 0, openUntilMs: 0, warmFromMs: 0 };

/** The first opening is as long as a heartbeat: by then the node has had its say. */
const FIRST_OPENING_MS = 2_000;
/** What has failed for long is still looked at once a minute. */
const OPENING_MS_MAX = 60_000;
/** A failure after less service than this is the same trouble: the next opening is longer. Later, it is one in thousands. */
const FAILURE_MEMORY_MS = 15_000;
/** An engine that crashes as soon as it has work takes longer to do so. */
const RETURN_MEMORY_MS = 120_000;
/** Who had no request to try the node with by then has no news of it either: the Pool's are newer. */
const HALF_OPEN_MS_MAX = 10_000;
/** Full again five seconds after the first sign of life, with a cold cache and cold kernels behind it. */
const SLOW_START_MS = 5_000;
/** In steps, so that a decision need not be made anew at every millisecond. */
const SLOW_START_STEPS = 10;
const STEP_MS = SLOW_START_MS / SLOW_START_STEPS;
export const SHARE_MIN = 1 / SLOW_START_STEPS;

export function phaseOf({ openUntilMs, warmFromMs }: Breaker, nowMs: number): Phase {
  // further ahead than any opening: the clock was set back
  if (nowMs < openUntilMs && openUntilMs - nowMs <= OPENING_MS_MAX) return 'open';
  if (warmFromMs === null) return nowMs < openUntilMs + HALF_OPEN_MS_MAX ? 'half_open' : 'closed';
  return nowMs < warmFromMs + SLOW_START_MS ? 'slow_start' : 'closed';
}

/** The part of its full share of traffic that the node may have, above 0 to 1; while it is open, what a try may cost. */
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

/** When phase or share will next be another by themselves. */
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
 * A failure that counts against the node.
 * @param startedMs of the request that failed: one that began before the breaker was open is an echo and changes nothing
 */
export function fail(breaker: Breaker, { startedMs, nowMs }: { startedMs: number; nowMs: number }): Breaker {
  if (startedMs < breaker.openUntilMs) return breaker;
  const again = nowMs - breaker.openUntilMs < FAILURE_MEMORY_MS;
  const failures = again ? breaker.failures + 1 : 1;
  return { ...breaker, failures, openUntilMs: nowMs + openingMs(failures), warmFromMs: null };
}

/** A first token: what was half open begins its slow start. */
export function succeed(breaker: Breaker, nowMs: number): Breaker {
  return phaseOf(breaker, nowMs) === 'half_open' ? { ...breaker, warmFromMs: nowMs } : breaker;
}

/** The slow start of a breaker to which nobody reports successes: the Pool hears of failures only. */
export function warmByTime(breaker: Breaker): Breaker {
  return { ...breaker, warmFromMs: breaker.openUntilMs };
}

/** A node that begins to serve: nothing is held against it, and nothing is warm. */
export function begin(nowMs: number): Breaker {
  return { ...CLOSED, openUntilMs: nowMs, warmFromMs: nowMs };
}

/**
 * The node was gone (silent, or without its engine) and is back. Failures of that outage are over with it, so a first
 * return serves at once, slowly; each further one in a row waits, and twice as long as the one before.
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
