/**
 * The log of what concerns security: who proved what, what was refused, and what was counted as too much. Each line is JSON
 * with its time in UTC, and holds ids, rules and routes' patterns, never an address, a name or a secret.
 */

/** Lines of each kind that an isolate writes in a minute. A flood of refusals would otherwise be a flood of lines. */
export const LINES_PER_MINUTE = 120;
const MINUTE_MS = 60_000;

/** Every kind of line. docs/security/logs.md says when each is written. */
export type SecurityEvent =
  | 'signed_in'
  | 'sign_in_refused'
  | 'signed_up'
  | 'signed_out'
  | 'proof_refused'
  | 'sign_in_changed'
  | 'access_refused'
  | 'rate_limited';

type Facts = Readonly<Record<string, string | number | readonly string[] | null | undefined>>;

let minute = 0;
/** Lines of this minute by kind, those left out included. */
const written = new Map<SecurityEvent, number>();

/** Writes a line, or counts it as left out; the next minute's first line says how many were. */
export function logSecurity(event: SecurityEvent, facts: Facts): void {
  const atMs = Date.now();
  beginMinute(Math.floor(atMs / MINUTE_MS));
  const count = (written.get(event) ?? 0) + 1;
  written.set(event, count);
  if (count <= LINES_PER_MINUTE) print({ event, at: new Date(atMs).toISOString(), ...facts });
}

function beginMinute(current: number): void {
  if (current === minute) return;
  minute = current;
  for (const [event, count] of written)
    if (count > LINES_PER_MINUTE)
      print({ event: 'security_lines_left_out', of: event, count: count - LINES_PER_MINUTE });
  written.clear();
}

function print(line: object): void {
  console.info(JSON.stringify(line));
}
