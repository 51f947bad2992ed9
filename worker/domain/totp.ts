/** Time steps of authenticator codes (TOTP, RFC 6238). A code belongs to one step, and is accepted once. */

const TOTP_STEP_MS = 30_000;
export const TOTP_DIGITS = 6;

/** Steps beside the current one whose codes are accepted, for clocks that differ by half a minute. */
const STEPS_BESIDE = 1;

/** Steps whose codes are accepted now, the earliest first. */
export function acceptedSteps(nowMs: number): number[] {
  const current = Math.floor(nowMs / TOTP_STEP_MS);
  return Array.from({ length: 2 * STEPS_BESIDE + 1 }, (_, i) => current - STEPS_BESIDE + i);
}
