/**
 * How an operator changes prices: a new version from a time to come, or an end for one. What was charged stays as it
 * was, because a charge names the version that was in force when its request was admitted, and no version changes.
 */
import { database } from '../db/client.ts';
import { modelExists } from '../db/nodes.ts';
import {
  findPrice,
  insertPrice,
  listPrices,
  type NewPrice,
  type PriceRow,
  setPriceEnd,
} from '../db/prices.ts';
import { type Effect, effectOf, isSurprising, PRICE_NOTICE_MS } from '../domain/price-change.ts';
import type { Env } from '../env.ts';

export type PriceRefusal =
  | 'model_not_found'
  | 'price_not_found'
  | 'price_too_soon'
  | 'price_window_batch'
  | 'price_window_empty'
  | 'price_same_instant'
  | 'price_end_before_start'
  | 'price_ended'
  | 'price_unconfirmed';

export type PriceChange =
  | { ok: true; priceId: string; effects: Effect[] }
  /** `effects` where it came so far: what is to be confirmed */
  | { ok: false; reason: PriceRefusal; effects: Effect[] };

interface Order {
  readonly actor: string;
  readonly nowMs: number;
  /** the model's id, typed; needed for a change that surprises */
  readonly confirm: string;
  /** only say what it would do */
  readonly preview: boolean;
}

export async function addPrice(env: Env, row: NewPrice, order: Order): Promise<PriceChange> {
  const db = database(env);
  const refuse = (reason: PriceRefusal, effects: Effect[] = []) => ({ ok: false, reason, effects }) as const;
  if (row.fromMs < order.nowMs + PRICE_NOTICE_MS) return refuse('price_too_soon');
  if (row.tariff === 'batch' && row.dailyFromMinute !== null) return refuse('price_window_batch');
  if (row.dailyFromMinute !== null && row.dailyFromMinute === row.dailyToMinute)
    return refuse('price_window_empty');
  if (!(await modelExists(db, row.modelId))) return refuse('model_not_found');

  const prices = (await listPrices(db)).filter(({ modelId }) => modelId === row.modelId);
  if (prices.some((each) => isRival(each, row))) return refuse('price_same_instant');
  const draft: PriceRow = { ...row, id: '', toMs: null };
  const effects = effectOf(prices, [...prices, draft], { tariff: row.tariff, atMs: row.fromMs });
  if (order.preview) return { ok: true, priceId: '', effects };
  if (isSurprising(effects) && order.confirm !== row.modelId) return refuse('price_unconfirmed', effects);

  const { actor, nowMs } = order;
  const detail = {
    usd_per_million: [row.cacheHitNanoUsd, row.cacheMissNanoUsd, row.outputNanoUsd]
      .map((each) => each / 1_000)
      .join(' / '),
    from: new Date(row.fromMs).toISOString(),
  };
  const priceId = await insertPrice(db, row, { atMs: nowMs, actor, detail });
  return priceId === null ? refuse('price_same_instant') : { ok: true, priceId, effects };
}

export async function endPrice(
  env: Env,
  { priceId, toMs }: { priceId: string; toMs: number },
  order: Order,
): Promise<PriceChange> {
  const db = database(env);
  const refuse = (reason: PriceRefusal, effects: Effect[] = []) => ({ ok: false, reason, effects }) as const;
  const soonestMs = order.nowMs + PRICE_NOTICE_MS;
  const row = await findPrice(db, priceId);
  if (row === null) return refuse('price_not_found');
  // an end that is nearer than isolates learn of a change has as good as passed
  if (row.toMs !== null && row.toMs < soonestMs) return refuse('price_ended');
  if (toMs < soonestMs) return refuse('price_too_soon');
  if (toMs <= row.fromMs) return refuse('price_end_before_start');

  const prices = (await listPrices(db)).filter(({ modelId }) => modelId === row.modelId);
  const others = prices.filter(({ id }) => id !== priceId);
  const open = [...others, { ...row, toMs: null }];
  const effects = effectOf(open, others, { tariff: row.tariff, atMs: toMs });
  if (order.preview) return { ok: true, priceId, effects };
  if (isSurprising(effects) && order.confirm !== row.modelId) return refuse('price_unconfirmed', effects);

  const { actor, nowMs } = order;
  const detail = { to: iso(toMs), was: row.toMs === null ? null : iso(row.toMs) };
  const changed = await setPriceEnd(db, { priceId, toMs, soonestMs }, { atMs: nowMs, actor, detail });
  return changed ? { ok: true, priceId, effects } : refuse('price_ended');
}

function isRival(known: PriceRow, row: NewPrice): boolean {
  return (
    known.tariff === row.tariff &&
    known.fromMs === row.fromMs &&
    (known.dailyFromMinute === null) === (row.dailyFromMinute === null)
  );
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
