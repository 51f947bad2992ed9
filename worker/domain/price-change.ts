/** What a change of prices will do, worked out before it is made: the hours of the day and what they cost, before and after. */
import { type DatedPrice, priceAt, type Tariff } from './pricing.ts';

/** Isolates keep the catalogue for ten seconds: by then every one of them knows a change that lies a minute ahead. */
export const PRICE_NOTICE_MS = 60_000;

/** Past a change of this share, up or down, one digit may have slipped: it is asked once more. */
export const SURPRISE = 0.25;

export const PRICE_KINDS = ['cacheHitNanoUsd', 'cacheMissNanoUsd', 'outputNanoUsd'] as const;
export type PriceKind = (typeof PRICE_KINDS)[number];

/** A part of the day (minutes after midnight UTC, the end exclusive) with the price that holds in it. */
export interface DaySlot {
  readonly fromMinute: number;
  readonly toMinute: number;
  readonly price: DatedPrice | null;
}

/** The same part of the day before and after a change. */
export interface Effect {
  readonly fromMinute: number;
  readonly toMinute: number;
  readonly before: DatedPrice | null;
  readonly after: DatedPrice | null;
}

const DAY_MINUTES = 1_440;

/** The day as it is priced by the rows that are in force at `atMs`. */
export function dayOfPrices(prices: readonly DatedPrice[], tariff: Tariff, atMs: number): DaySlot[] {
  const rows = inForce(prices, tariff, atMs);
  return partsOf(rows).map(([fromMinute, toMinute]) => ({
    fromMinute,
    toMinute,
    price: priceOf(rows, tariff, fromMinute),
  }));
}

/** What changes at `atMs` when `before` becomes `after`, over the whole of a day. */
export function effectOf(
  before: readonly DatedPrice[],
  after: readonly DatedPrice[],
  { tariff, atMs }: { tariff: Tariff; atMs: number },
): Effect[] {
  const [old, fresh] = [inForce(before, tariff, atMs), inForce(after, tariff, atMs)];
  return partsOf([...old, ...fresh]).map(([fromMinute, toMinute]) => ({
    fromMinute,
    toMinute,
    before: priceOf(old, tariff, fromMinute),
    after: priceOf(fresh, tariff, fromMinute),
  }));
}

/** The share by which a price changes: 0.1 is a tenth more. */
export function changeOf(effect: Effect, kind: PriceKind): number {
  const [before, after] = [effect.before?.[kind], effect.after?.[kind]];
  if (before === undefined || after === undefined || before === after) return 0;
  return before === 0 ? Number.POSITIVE_INFINITY : after / before - 1;
}

/** Whether a change is large enough, or ends the sale for a part of the day, to be confirmed by typing. */
export function isSurprising(effects: readonly Effect[]): boolean {
  return effects.some(
    (effect) =>
      leavesUnsold(effect) || PRICE_KINDS.some((kind) => Math.abs(changeOf(effect, kind)) > SURPRISE),
  );
}

/** Whether there was a price and will be none: the model is not sold in that part of the day. */
function leavesUnsold({ before, after }: Effect): boolean {
  return before !== null && after === null;
}

/** `2.19` US dollars per million tokens is 2190 nano-USD a token; null when that is no whole number of nano-USD. */
export function nanoPerToken(usdPerMillion: string): number | null {
  const parts = /^(\d{1,5})(?:[.,](\d{1,3})0*)?$/.exec(usdPerMillion);
  return parts && Number(parts[1]) * 1_000 + Number((parts[2] ?? '').padEnd(3, '0'));
}

/** `16:30` as minutes after midnight, or null. */
export function minuteOf(text: string): number | null {
  const parts = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text);
  return parts && Number(parts[1]) * 60 + Number(parts[2]);
}

function inForce(prices: readonly DatedPrice[], tariff: Tariff, atMs: number): DatedPrice[] {
  return prices
    .filter((price) => price.tariff === tariff && price.fromMs <= atMs)
    .filter(({ toMs }) => toMs === null || atMs < toMs);
}

/** Which row wins in a minute is `priceAt`'s to say; the rows hold at every instant of the day that it is asked for. */
function priceOf(rows: readonly DatedPrice[], tariff: Tariff, minute: number): DatedPrice | null {
  const lasting = rows.map((price) => ({ ...price, toMs: null }));
  const latestMs = Math.max(0, ...rows.map(({ fromMs }) => fromMs));
  const midnightMs = Math.ceil(latestMs / 86_400_000) * 86_400_000;
  const found = priceAt(lasting, tariff, midnightMs + minute * 60_000);
  return rows.find(({ id }) => id === found?.id) ?? null;
}

/** Cuts the day at every edge of a window, midnight included. */
function partsOf(rows: readonly DatedPrice[]): [from: number, to: number][] {
  const edges = rows.flatMap(({ dailyFromMinute, dailyToMinute }) => [dailyFromMinute, dailyToMinute]);
  const cuts = [...new Set([0, DAY_MINUTES, ...edges.filter((edge) => edge !== null)])].sort((a, b) => a - b);
  return cuts.slice(1).map((to, index) => [cuts[index]!, to]);
}
