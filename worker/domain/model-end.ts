/** The end of a model's sale: how early it is announced, who may move it, and when its users are told. Pure. */

import { type NanoUsd, nanoUsd } from './money.ts';
import { type DatedPrice, priceAt } from './pricing.ts';

const DAY_MS = 86_400_000;

/**
 * The promised notice: 60 days lie between announcement and end. OpenAI and Anthropic promise at least 60 days for models
 * in general use.
 */
export const END_NOTICE_DAYS = 60;

/** The last days of use that count: an account that used the model within them is told. */
export const USED_WITHIN_DAYS = 30;

/** `announced` and `withdrawn` come when the operator decides; the others by the calendar. */
export const MODEL_END_STAGES = ['announced', 'days_30', 'days_7', 'days_1', 'ended', 'withdrawn'] as const;
export type ModelEndStage = (typeof MODEL_END_STAGES)[number];

/** Days before the end at which each reminder comes. */
const REMINDERS: readonly (readonly [ModelEndStage, number])[] = [
  ['ended', 0],
  ['days_1', 1],
  ['days_7', 7],
  ['days_30', 30],
];

export interface ModelEnd {
  readonly id: string;
  readonly endsAtMs: number | null;
  readonly endAnnouncedAtMs: number | null;
  readonly successorId: string | null;
}

/** A model with an end, that is or was announced. */
export type EndingModel<M extends ModelEnd = ModelEnd> = M & { readonly endsAtMs: number };

export function isEnding<M extends ModelEnd>(model: M): model is EndingModel<M> {
  return model.endsAtMs !== null;
}

export function hasEnded({ endsAtMs }: Pick<ModelEnd, 'endsAtMs'>, nowMs: number): boolean {
  return endsAtMs !== null && nowMs >= endsAtMs;
}

type WithSuccessor = Pick<ModelEnd, 'id' | 'endsAtMs' | 'successorId'>;

/**
 * A model as customers are told of it: its successor outlives it and is still on sale. One that ends sooner stands for its
 * own successor, so that nobody is sent to a model that is gone; null: none is left.
 */
export function withStandingSuccessor<M extends WithSuccessor>(
  model: M,
  models: readonly WithSuccessor[],
  nowMs: number,
): M {
  if (model.successorId === null) return model;
  const untilMs = Math.max(nowMs, model.endsAtMs ?? 0);
  const passed = new Set([model.id]);
  let successorId: string | null = model.successorId;
  while (successorId !== null) {
    const next = models.find(({ id }) => id === successorId);
    if (next === undefined || passed.has(next.id)) return { ...model, successorId: null };
    if (!hasEnded(next, untilMs)) break;
    passed.add(next.id);
    successorId = next.successorId;
  }
  return { ...model, successorId };
}

/** The facts of the error that requests get after the end. */
export function modelEnded({ id, endsAtMs, successorId }: Omit<ModelEnd, 'endAnnouncedAtMs'>) {
  return { reason: 'model_ended', model: id, endedAtMs: endsAtMs ?? 0, successor: successorId } as const;
}

/** Whether the model's first price has begun: until then no customer sees it. */
export function hasBegun({ prices }: { readonly prices: readonly DatedPrice[] }, nowMs: number): boolean {
  return prices.some(({ fromMs }) => fromMs <= nowMs);
}

/** The models that can be used at `nowMs`: their sale has begun and has not ended. */
export function onSale<M extends Pick<ModelEnd, 'endsAtMs'> & { readonly prices: readonly DatedPrice[] }>(
  models: readonly M[],
  nowMs: number,
): M[] {
  return models.filter((model) => hasBegun(model, nowMs) && !hasEnded(model, nowMs));
}

export type ModelEndFault =
  /** Less than the promised notice lies before it. */
  | 'end_too_soon'
  /** An earlier end than was announced would break that promise. */
  | 'end_moved_forward'
  /** Its end is over, and final. */
  | 'model_ended'
  /** No such model has a price: customers who are sent to it could not use it, and it could still be deleted. */
  | 'successor_unknown'
  /** It is the model itself, or ends no later. */
  | 'successor_ends_first';

type Priced = ModelEnd & { readonly prices: readonly DatedPrice[] };

/** Why an end cannot be announced, or moved; null: it can. @param models all models, the one that ends among them */
export function announceFault(
  model: ModelEnd,
  wanted: { endsAtMs: number; successorId: string | null },
  { models, nowMs }: { models: readonly Priced[]; nowMs: number },
): ModelEndFault | null {
  const { endsAtMs, successorId } = wanted;
  if (hasEnded(model, nowMs)) return 'model_ended';
  if (isEnding(model) && endsAtMs < model.endsAtMs) return 'end_moved_forward';
  if (!isEnding(model) && endsAtMs < nowMs + END_NOTICE_DAYS * DAY_MS) return 'end_too_soon';
  if (successorId === null) return null;
  const successor = models.find(({ id }) => id === successorId);
  if (successor === undefined || successor.prices.length === 0) return 'successor_unknown';
  const endsFirst = isEnding(successor) && successor.endsAtMs <= endsAtMs;
  return successor.id === model.id || endsFirst ? 'successor_ends_first' : null;
}

/**
 * The stage of the notice that is due, so that an account gets one message even where several dates have passed; null: no
 * end is announced.
 */
export function stageDue(model: ModelEnd, nowMs: number): ModelEndStage | null {
  if (!isEnding(model)) return null;
  const reached = REMINDERS.find(([, days]) => nowMs >= model.endsAtMs - days * DAY_MS);
  return reached?.[0] ?? 'announced';
}

/** An account's use of a model in one hour. */
export interface HourOfUse {
  readonly hourMs: number;
  readonly cachedTokens: number;
  readonly uncachedTokens: number;
  readonly outputTokens: number;
  /** Charged for the model itself. */
  readonly chargeNanoUsd: number;
}

/** Charged for these hours. */
export function chargedFor(hours: readonly HourOfUse[]): NanoUsd {
  return nanoUsd(hours.reduce((sum, { chargeNanoUsd }) => sum + chargeNanoUsd, 0));
}

/**
 * The same tokens at another model's standard prices, each hour at that in force when it began; null: it had none. Hours
 * before its first price count at that price, since a successor is often sold only from the announcement on.
 */
export function costAt(prices: readonly DatedPrice[], hours: readonly HourOfUse[]): NanoUsd | null {
  const firstMs = Math.min(
    ...prices.filter(({ tariff }) => tariff === 'standard').map(({ fromMs }) => fromMs),
  );
  let sum = 0;
  for (const { hourMs, cachedTokens, uncachedTokens, outputTokens } of hours) {
    const price = priceAt(prices, 'standard', sameTimeFrom(firstMs, hourMs));
    if (price === null) return null;
    sum +=
      cachedTokens * price.cacheHitNanoUsd +
      uncachedTokens * price.cacheMissNanoUsd +
      outputTokens * price.outputNanoUsd;
  }
  return nanoUsd(sum);
}

/** The time itself, or where it is before another, the same time of day on the first day after that. */
function sameTimeFrom(firstMs: number, atMs: number): number {
  return Number.isFinite(firstMs) && atMs < firstMs
    ? atMs + Math.ceil((firstMs - atMs) / DAY_MS) * DAY_MS
    : atMs;
}
