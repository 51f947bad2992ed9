/** When a session ends without being ended: after a time without a request, and at the latest at its absolute end. */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** An operator's session opens every customer's account, so it lasts one working day at most. */
export const SESSION_LIMITS = {
  customer: { absoluteMs: 30 * DAY_MS, idleMs: 14 * DAY_MS },
  operator: { absoluteMs: 12 * HOUR_MS, idleMs: HOUR_MS },
} as const;

/** A session's last request is written down this often, so that a page does not cost a write. */
export const SEEN_EVERY_MS = 5 * MINUTE_MS;

export interface SessionTimes {
  readonly createdAtMs: number;
  /** Its last request, to SEEN_EVERY_MS. */
  readonly seenAtMs: number;
}

/** Whether the session of a person in this role is over. */
export function isSessionOver(
  role: keyof typeof SESSION_LIMITS,
  { createdAtMs, seenAtMs }: SessionTimes,
  nowMs: number,
): boolean {
  const { absoluteMs, idleMs } = SESSION_LIMITS[role];
  return nowMs - createdAtMs >= absoluteMs || nowMs - seenAtMs >= idleMs;
}
