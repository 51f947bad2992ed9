/** Fields that several of the operator API's bodies share. */
import * as z from 'zod';
import { nanoPerToken } from '../domain/price-change.ts';
import { DecimalText } from '../http/usd-text.ts';

/** An ISO 8601 instant in UTC, as milliseconds since 1970. */
export const Instant = z.iso
  .datetime({ error: 'must be a date and time in UTC, such as "2026-12-01T00:00:00Z"' })
  .transform((text) => Date.parse(text));

/** US dollars per million tokens, as whole nano-USD per token. */
export const UsdPerMillion = DecimalText.transform(nanoPerToken)
  .refine(
    (value) => value !== null,
    'must be US dollars per million tokens with at most three decimal places, such as "2.19": a token costs a whole number of nano-USD',
  )
  .transform((value) => value!);

export const OutputUsdPerMillion = UsdPerMillion.refine(
  (value) => value > 0,
  'must be greater than 0: with free output an answer would never reach the end of its credit',
);

/** Formats milliseconds since 1970 as an ISO 8601 instant in UTC. */
export function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
