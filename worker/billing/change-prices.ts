/**
 * An operator's changes of prices: a new version from a future time on, or an end for one. Past charges stay as they
 * were, because a charge names the version in force when its request was admitted, and no version changes.
 */
import { database } from '../db/client.ts';
import { modelExists } from '../db/nodes.ts';
import {
  findPrice,
  insertPrice,
  listPrices,
  type NewPrice,
  type PriceRow,
  priceStateOf,
  setPriceEnd,
} from '../db/prices.ts';
import { type HalfPriceConflict, isCacheDearer, newConflicts } from '../domain/half-price.ts';
import {
  needsConfirmation,
  PRICE_NOTICE_MS,
  priceEffects,
  type SlotPriceChange,
} from '../domain/price-change.ts';
import type { Env } from '../env.ts';

export type PriceFault =
  | 'model_not_found'
  | 'price_not_found'
  | 'price_too_soon'
  | 'price_window_batch'
  | 'price_window_empty'
  | 'price_same_instant'
  | 'price_end_before_start'
  | 'price_ended'
  | 'price_unconfirmed'
  /** A token from the cache would cost more than another. */
  | 'price_cache_dearer'
  /** A batch line could cost more than half of the same request: `conflicts` names the prices. */
  | 'price_batch_above_half';

export type PriceChange =
  | { ok: true; priceId: string; effects: SlotPriceChange[] }
  /** `effects` is filled when the change was computed: it is what the operator has to confirm. */
  | { ok: false; reason: PriceFault; effects: SlotPriceChange[]; conflicts: HalfPriceConflict[] };

interface PriceCommand {
  readonly actor: string;
  readonly nowMs: number;
  /** The model's id, typed by the operator; required for a change that `needsConfirmation`. */
  readonly confirm: string;
  /** true: only report what the change would do. */
  readonly preview: boolean;
}

/** Adds a version. @returns its id, or why it was refused; a preview writes nothing and has an empty id */
export async function addPrice(env: Env, row: NewPrice, command: PriceCommand): Promise<PriceChange> {
  const db = database(env);
  if (row.fromMs < command.nowMs + PRICE_NOTICE_MS) return refuse('price_too_soon');
  if (row.tariff === 'batch' && row.dailyFromMinute !== null) return refuse('price_window_batch');
  if (row.dailyFromMinute !== null && row.dailyFromMinute === row.dailyToMinute)
    return refuse('price_window_empty');
  if (isCacheDearer(row)) return refuse('price_cache_dearer');
  if (!(await modelExists(db, row.modelId))) return refuse('model_not_found');

  const prices = (await listPrices(db)).filter(({ modelId }) => modelId === row.modelId);
  if (prices.some((each) => isRival(each, row))) return refuse('price_same_instant');
  const after: PriceRow[] = [...prices, { ...row, id: '', toMs: null }];
  const conflicts = newConflicts(prices, after, command.nowMs);
  if (conflicts.length > 0) return refuse('price_batch_above_half', [], conflicts);
  const effects = priceEffects(prices, after, { tariff: row.tariff, atMs: row.fromMs });
  if (command.preview) return { ok: true, priceId: '', effects };
  if (needsConfirmation(effects) && command.confirm !== row.modelId)
    return refuse('price_unconfirmed', effects);

  const { actor, nowMs } = command;
  const detail = {
    usd_per_million: [row.cacheHitNanoUsd, row.cacheMissNanoUsd, row.outputNanoUsd]
      .map((each) => each / 1_000)
      .join(' / '),
    from: iso(row.fromMs),
  };
  const seen = priceStateOf(prices);
  const priceId = await insertPrice(db, { row, seen }, { atMs: nowMs, actor, detail });
  // Another operator changed the model's prices at the same time: this change is looked at again beside that one.
  return priceId === null ? addPrice(env, row, command) : { ok: true, priceId, effects };
}

/** Ends a version at `toMs`, or moves its end there. A preview writes nothing. */
export async function endPrice(
  env: Env,
  { priceId, toMs }: { priceId: string; toMs: number },
  command: PriceCommand,
): Promise<PriceChange> {
  const db = database(env);
  const soonestMs = command.nowMs + PRICE_NOTICE_MS;
  const row = await findPrice(db, priceId);
  if (row === null) return refuse('price_not_found');
  // Isolates learn of a change within PRICE_NOTICE_MS: an end nearer than that can no longer be moved.
  if (row.toMs !== null && row.toMs < soonestMs) return refuse('price_ended');
  if (toMs < soonestMs) return refuse('price_too_soon');
  if (toMs <= row.fromMs) return refuse('price_end_before_start');

  const prices = (await listPrices(db)).filter(({ modelId }) => modelId === row.modelId);
  const others = prices.filter(({ id }) => id !== priceId);
  const ended = [...others, { ...row, toMs }];
  const conflicts = newConflicts(prices, ended, command.nowMs);
  if (conflicts.length > 0) return refuse('price_batch_above_half', [], conflicts);
  const open = [...others, { ...row, toMs: null }];
  const effects = priceEffects(open, others, { tariff: row.tariff, atMs: toMs });
  if (command.preview) return { ok: true, priceId, effects };
  if (needsConfirmation(effects) && command.confirm !== row.modelId)
    return refuse('price_unconfirmed', effects);

  const { actor, nowMs } = command;
  const detail = { to: iso(toMs), was: row.toMs === null ? null : iso(row.toMs) };
  const change = { modelId: row.modelId, priceId, toMs, soonestMs, seen: priceStateOf(prices) };
  const changed = await setPriceEnd(db, change, { atMs: nowMs, actor, detail });
  return changed ? { ok: true, priceId, effects } : endPrice(env, { priceId, toMs }, command);
}

function refuse(reason: PriceFault, effects: SlotPriceChange[] = [], conflicts: HalfPriceConflict[] = []) {
  return { ok: false, reason, effects, conflicts } as const;
}

/** Two versions of one kind cannot take effect at the same instant. */
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
