/**
 * The operator API's prices: every version with its history, a new version, and the end of one. The console offers
 * the same.
 */
import { Hono } from 'hono';
import * as z from 'zod';
import { addPrice, endPrice, type PriceChange } from '../billing/change-prices.ts';
import { database } from '../db/client.ts';
import { listPriceChanges, listPrices, type PriceRow } from '../db/prices.ts';
import type { HalfPriceConflict } from '../domain/half-price.ts';
import { minuteOf, type SlotPriceChange } from '../domain/price-change.ts';
import { TARIFFS } from '../domain/pricing.ts';
import { parseBody } from '../http/control-body.ts';
import { refuse } from '../http/control-error.ts';
import { NameText } from '../http/fields.ts';
import { Instant, iso, OutputUsdPerMillion, UsdPerMillion } from './fields.ts';
import type { OperatorEnv } from './token.ts';

const Minute = z
  .string()
  .transform(minuteOf)
  .refine((value) => value !== null, 'must be a time of day in UTC, such as "16:30"')
  .transform((value) => value!);

const Confirmed = {
  /** The model's id, required where a change is refused without it. */
  confirm: z.string().max(128).default(''),
  /** true: only report what the change would do. */
  preview: z.boolean().default(false),
};

const NewPriceRequest = z
  .strictObject({
    model: z.string().max(128),
    tariff: z.enum(TARIFFS).default('standard'),
    from: Instant,
    daily_from: Minute.optional(),
    daily_to: Minute.optional(),
    cache_hit: UsdPerMillion,
    cache_miss: UsdPerMillion,
    output: OutputUsdPerMillion,
    source: NameText(200),
    ...Confirmed,
  })
  .refine(({ daily_from, daily_to }) => (daily_from === undefined) === (daily_to === undefined), {
    path: ['daily_to'],
    message: 'must be set together with `daily_from`, or not at all',
  });

const EndRequest = z.strictObject({ to: Instant, ...Confirmed });

export const pricesApi = new Hono<OperatorEnv>();

pricesApi.get('/', async (c) => {
  const db = database(c.env);
  const [prices, changes] = await Promise.all([listPrices(db), listPriceChanges(db)]);
  return c.json({
    prices: prices.map((price) => ({
      ...toPublicPrice(price),
      changes: changes
        .filter(({ subject }) => subject === price.id)
        .map(({ atMs, actor, action, detail }) => ({ at: iso(atMs), actor, action, detail })),
    })),
  });
});

pricesApi.post('/', async (c) => {
  const body = await parseBody(c, NewPriceRequest);
  if (body instanceof Response) return body;
  const row = {
    modelId: body.model,
    tariff: body.tariff,
    fromMs: body.from,
    dailyFromMinute: body.daily_from ?? null,
    dailyToMinute: body.daily_to ?? null,
    cacheHitNanoUsd: body.cache_hit,
    cacheMissNanoUsd: body.cache_miss,
    outputNanoUsd: body.output,
    source: body.source,
  };
  const { confirm, preview } = body;
  const result = await addPrice(c.env, row, { actor: c.get('actor'), nowMs: Date.now(), confirm, preview });
  if (!result.ok) return refuse(c, result.reason, { detail: detailOf(result) });
  return c.json(toPublicChange(result), preview ? 200 : 201);
});

// A version's id contains slashes.
pricesApi.post('/:id{.+/[0-9]+}/end', async (c) => {
  const body = await parseBody(c, EndRequest);
  if (body instanceof Response) return body;
  const { confirm, preview } = body;
  const order = { actor: c.get('actor'), nowMs: Date.now(), confirm, preview };
  const result = await endPrice(c.env, { priceId: c.req.param('id'), toMs: body.to }, order);
  if (!result.ok) return refuse(c, result.reason, { detail: detailOf(result) });
  return c.json(toPublicChange(result));
});

function toPublicChange({ priceId, effects }: PriceChange & { ok: true }) {
  return {
    id: priceId || null,
    effect: effects.map(({ fromMinute, toMinute, before, after }) => ({
      daily_from: clock(fromMinute),
      daily_to: clock(toMinute % 1_440),
      before: before && toPublicPrice(before),
      after: after && { ...toPublicPrice(after), id: after.id || null },
    })),
  };
}

function toPublicPrice(price: Omit<PriceRow, 'modelId' | 'source'> & Partial<PriceRow>) {
  return {
    id: price.id,
    model: price.modelId,
    tariff: price.tariff,
    from: iso(price.fromMs),
    to: price.toMs === null ? null : iso(price.toMs),
    daily_from: price.dailyFromMinute === null ? null : clock(price.dailyFromMinute),
    daily_to: price.dailyToMinute === null ? null : clock(price.dailyToMinute),
    unit: 'USD per million tokens',
    cache_hit: price.cacheHitNanoUsd / 1_000,
    cache_miss: price.cacheMissNanoUsd / 1_000,
    output: price.outputNanoUsd / 1_000,
    source: price.source,
  };
}

function detailOf({ effects, conflicts }: PriceChange & { ok: false }): string | undefined {
  return conflicts.length > 0 ? conflicts.map(conflictText).join('; ') : summary(effects);
}

/** The two prices, in US dollars per million tokens. */
function conflictText({ batch, standard, kind }: HalfPriceConflict): string {
  const name = { cacheHitNanoUsd: 'cache_hit', cacheMissNanoUsd: 'cache_miss', outputNanoUsd: 'output' }[
    kind
  ];
  const nameOf = ({ id }: HalfPriceConflict['batch']) => id || 'the new price';
  return `${name} of ${nameOf(batch)} is ${batch[kind] / 1_000}, half of ${nameOf(standard)} is ${standard[kind] / 2_000}`;
}

/** The change that the operator has to confirm, one entry for each part of the day that changes. */
function summary(effects: readonly SlotPriceChange[]): string | undefined {
  if (effects.length === 0) return undefined;
  const usd = (price: SlotPriceChange['before']) =>
    price === null
      ? 'not sold'
      : [price.cacheHitNanoUsd, price.cacheMissNanoUsd, price.outputNanoUsd]
          .map((each) => each / 1_000)
          .join(' / ');
  return effects
    .filter(({ before, after }) => before?.id !== after?.id)
    .map(
      ({ fromMinute, toMinute, before, after }) =>
        `${clock(fromMinute)}–${clock(toMinute % 1_440)}: ${usd(before)} → ${usd(after)}`,
    )
    .join('; ');
}

function clock(minute: number): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}
