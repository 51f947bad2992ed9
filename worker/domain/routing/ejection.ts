/** Ejection: a node that failed gets no traffic for a while that grows with each failure in a row. */

/** No traffic before `untilMs`; `streak` failures in a row led there. */
export interface Probation {
  readonly untilMs: number;
  readonly streak: number;
}

export const FRESH: Probation = { untilMs: 0, streak: 0 };

/** The first ejection is as long as a heartbeat: by then the node has had its say. */
const FIRST_EJECTION_MS = 2_000;
const EJECTION_MS_MAX = 30_000;
/** A failure later than this after the last ejection ended starts a new streak. */
const STREAK_MEMORY_MS = 30_000;

/** Failures during an ejection are echoes of the one that caused it and change nothing. */
export function eject(probation: Probation, nowMs: number): Probation {
  if (nowMs < probation.untilMs) return probation;
  const streak = nowMs - probation.untilMs < STREAK_MEMORY_MS ? probation.streak + 1 : 1;
  return { streak, untilMs: nowMs + Math.min(EJECTION_MS_MAX, FIRST_EJECTION_MS * 2 ** (streak - 1)) };
}

export function isEjected(probation: Probation, nowMs: number): boolean {
  return nowMs < probation.untilMs;
}
