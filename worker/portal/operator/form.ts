/** Field schemas of the operator's forms: instants, hours of the day, prices. Times are UTC, as on all operator pages. */
import * as z from 'zod';
import type { NumberMarks } from '../../domain/decimal-text.ts';
import { minuteOf, nanoPerToken } from '../../domain/price-change.ts';
import { Decimal, fault } from '../frame/form.ts';

/** `2026-12-01T00:00`, as an `<input type="datetime-local">` sends it, read as UTC; in ms since 1970. */
export const Instant = z
  .string(fault('instant'))
  .transform(utc)
  .refine((atMs) => atMs !== null, fault('instant'))
  .transform((atMs) => atMs!);

export const OptionalInstant = z.union([z.literal('').transform(() => null), Instant], fault('instant'));

/** `16:30` as minutes after midnight; empty: null. */
export const OptionalMinute = z
  .string(fault('minute'))
  .transform((text) => (text === '' ? null : (minuteOf(text) ?? Number.NaN)))
  .refine((minute) => !Number.isNaN(minute), fault('minute'));

/** US dollars per million tokens, as whole nano-USD per token. */
export function UsdPerMillion(marks: NumberMarks) {
  return Decimal(marks, 'usd_per_million')
    .transform(nanoPerToken)
    .refine((nano) => nano !== null, fault('usd_per_million'))
    .transform((nano) => nano!);
}

/** A percentage such as `56.3`, with at most one decimal place, in thousandths. */
export function Percent(marks: NumberMarks) {
  return Decimal(marks, 'percent')
    .refine((text) => /^\d{1,3}(\.\d)?$/.test(text), fault('percent'))
    .transform((text) => Math.round(Number(text) * 10))
    .refine((permille) => permille <= 1_000, fault('percent'));
}

/** A ratio to one such as `3.62`, with at most two decimal places, in hundredths. */
export function Ratio(marks: NumberMarks) {
  return Decimal(marks, 'ratio')
    .refine((text) => /^\d{1,4}(\.\d{1,2})?$/.test(text), fault('ratio'))
    .transform((text) => Math.round(Number(text) * 100));
}

/** An instant in the notation of an `<input type="datetime-local">`, in UTC. */
export function fieldInstant(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 16);
}

function utc(text: string): number | null {
  const parts = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(?::\d{2})?$/.exec(text);
  const atMs = parts ? Date.parse(`${parts[1]}T${parts[2]}:00Z`) : Number.NaN;
  return Number.isNaN(atMs) ? null : atMs;
}
