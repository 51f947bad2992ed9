/** Fields that several of the operator API's bodies share. */
import * as z from 'zod';

/** An ISO 8601 instant in UTC, as milliseconds since 1970. */
export const Instant = z.iso
  .datetime({ error: 'must be a date and time in UTC, such as "2026-12-01T00:00:00Z"' })
  .transform((text) => Date.parse(text));

/** Formats milliseconds since 1970 as an ISO 8601 instant in UTC. */
export function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
