/** Previews a change of prices: for each part of the day, the price before and after. */
import { type DatedPrice, priceAt, type Tariff } from './pricing.ts';

/** Shortest notice of a price change. Isolates cache the catalogue for ten seconds, so all know a change a minute ahead. */
export const PRICE_NOTICE_MS = 60_000;

/** A relative change above this, up or down, must be confirmed: a digit may have slipped. */
export const CONFIRM_ABOVE = 0.25;

export const PRICE_KINDS = ['cacheHitNanoUsd', 'cacheMissNanoUsd', 'outputNanoUsd'] as const;
export type PriceKind = (typeof PRICE_KINDS)[number];

/** A part of the day (minutes after midnight UTC, end exclusive) with its price; null: not on sale. */
export interface DaySlot {
  readonly fromMinute: number;
  readonly toMinute: number;
  readonly price: DatedPrice | null;
}

/** The price of one part of the day before and after a change; null: not on sale. */
export interface SlotPriceChange {
  readonly fromMinute: number;
  readonly toMinute: number;
  readonly before: DatedPrice | null;
  readonly after: DatedPrice | null;
}

const DAY_MINUTES = 1_440;

/** The prices over a day, by the rows that are in force at `atMs`. */
export function dailySchedule(prices: readonly DatedPrice[], tariff: Tariff, atMs: number): DaySlot[] {
  const rows = inForce(prices, tariff, atMs);
  return partsOf(rows).map(([fromMinute, toMinute]) => ({
    fromMinute,
    toMinute,
    price: priceOf(rows, tariff, fromMinute),
  }));
}

/** The effect, over a whole day, of replacing the rows `before` by `after` at `atMs`. */
export function priceEffects(
  before: readonly DatedPrice[],
  after: readonly DatedPrice[],
  { tariff, atMs }: { tariff: Tariff; atMs: number },
): SlotPriceChange[] {
  const [oldRows, newRows] = [inForce(before, tariff, atMs), inForce(after, tariff, atMs)];
  return partsOf([...oldRows, ...newRows]).map(([fromMinute, toMinute]) => ({
    fromMinute,
    toMinute,
    before: priceOf(oldRows, tariff, fromMinute),
    after: priceOf(newRows, tariff, fromMinute),
  }));
}

/** The relative change of a price: 0.1 is 10 % more. */
export function changeOf(effect: SlotPriceChange, kind: PriceKind): number {
  const [before, after] = [effect.before?.[kind], effect.after?.[kind]];
  if (before === undefined || after === undefined || before === after) return 0;
  return before === 0 ? Number.POSITIVE_INFINITY : after / before - 1;
}

/** Whether a change must be confirmed by typing: it is large, or it ends the sale for a part of the day. */
export function needsConfirmation(effects: readonly SlotPriceChange[]): boolean {
  return effects.some(
    (effect) =>
      leavesUnsold(effect) || PRICE_KINDS.some((kind) => Math.abs(changeOf(effect, kind)) > CONFIRM_ABOVE),
  );
}

/** Whether the model is on sale before the change and not after it. */
function leavesUnsold({ before, after }: SlotPriceChange): boolean {
  return before !== null && after === null;
}

/** Converts US dollars per million tokens: `2.19` is 2190 nano-USD per token; null when that is not a whole number. */
export function nanoPerToken(usdPerMillion: string): number | null {
  const parts = /^(\d{1,5})(?:\.(\d{1,3})0*)?$/.exec(usdPerMillion);
  return parts && Number(parts[1]) * 1_000 + Number((parts[2] ?? '').padEnd(3, '0'));
}

/** Parses `16:30` as minutes after midnight; null when it is not a time. */
export function minuteOf(text: string): number | null {
  const parts = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text);
  return parts && Number(parts[1]) * 60 + Number(parts[2]);
}

function inForce(prices: readonly DatedPrice[], tariff: Tariff, atMs: number): DatedPrice[] {
  return prices
    .filter((price) => price.tariff === tariff && price.fromMs <= atMs)
    .filter(({ toMs }) => toMs === null || atMs < toMs);
}

/**
 * The row in force in a minute of the day. `priceAt` decides, for a day after every row has begun; the rows are made
 * open-ended so that they are still in force then.
 */
function priceOf(rows: readonly DatedPrice[], tariff: Tariff, minute: number): DatedPrice | null {
  const openEnded = rows.map((price) => ({ ...price, toMs: null }));
  const latestMs = Math.max(0, ...rows.map(({ fromMs }) => fromMs));
  const midnightMs = Math.ceil(latestMs / 86_400_000) * 86_400_000;
  const found = priceAt(openEnded, tariff, midnightMs + minute * 60_000);
  return rows.find(({ id }) => id === found?.id) ?? null;
}

/** Cuts the day at every edge of a daily window, and at midnight. */
function partsOf(rows: readonly DatedPrice[]): [from: number, to: number][] {
  const edges = rows.flatMap(({ dailyFromMinute, dailyToMinute }) => [dailyFromMinute, dailyToMinute]);
  const cuts = [...new Set([0, DAY_MINUTES, ...edges.filter((edge) => edge !== null)])].sort((a, b) => a - b);
  return cuts.slice(1).map((to, index) => [cuts[index]!, to]);
}
