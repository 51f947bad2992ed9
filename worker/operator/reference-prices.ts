/** The operator API's comparison prices: other providers' list prices, dated and with their sources. */
import { Hono } from 'hono';
import * as z from 'zod';
import { database } from '../db/client.ts';
import {
  addReferencePrice,
  endReferencePrice,
  loadReferencePrices,
  REFERENCE_PRICES_MAX,
  type ReferencePrice,
} from '../db/reference-prices.ts';
import { newId } from '../domain/ids.ts';
import { parseBody } from '../http/control-body.ts';
import { refuse } from '../http/control-error.ts';
import { NameText } from '../http/fields.ts';
import { Instant, iso, UsdPerMillion } from './fields.ts';
import type { OperatorEnv } from './token.ts';

const NewReferencePrice = z.strictObject({
  /** Provider and model, such as "OpenAI o1". */
  name: NameText(80),
  from: Instant,
  cache_hit: UsdPerMillion,
  cache_miss: UsdPerMillion,
  output: UsdPerMillion,
  /** Where the price was read. */
  source: NameText(300),
});

const EndRequest = z.strictObject({ to: Instant });

export const referencePricesApi = new Hono<OperatorEnv>();

referencePricesApi.get('/', async (c) => {
  const rows = await loadReferencePrices(database(c.env));
  return c.json({ reference_prices: rows.map(toPublic) });
});

referencePricesApi.post('/', async (c) => {
  const body = await parseBody(c, NewReferencePrice);
  if (body instanceof Response) return body;
  const nowMs = Date.now();
  const row: ReferencePrice = {
    id: newId('ref', nowMs),
    name: body.name,
    fromMs: body.from,
    toMs: null,
    cacheHitNanoUsd: body.cache_hit,
    cacheMissNanoUsd: body.cache_miss,
    outputNanoUsd: body.output,
    source: body.source,
  };
  const isAdded = await addReferencePrice(database(c.env), row, { atMs: nowMs, actor: c.get('actor') });
  return isAdded
    ? c.json(toPublic(row), 201)
    : refuse(c, 'too_many_reference_prices', { detail: `${REFERENCE_PRICES_MAX}.` });
});

referencePricesApi.post('/:id/end', async (c) => {
  const body = await parseBody(c, EndRequest);
  if (body instanceof Response) return body;
  const entry = { atMs: Date.now(), actor: c.get('actor') };
  const row = await endReferencePrice(database(c.env), { id: c.req.param('id'), toMs: body.to }, entry);
  return row === null ? refuse(c, 'reference_price_not_found') : c.json(toPublic(row));
});

function toPublic(row: ReferencePrice) {
  return {
    id: row.id,
    name: row.name,
    from: iso(row.fromMs),
    to: row.toMs === null ? null : iso(row.toMs),
    unit: 'USD per million tokens',
    cache_hit: row.cacheHitNanoUsd / 1_000,
    cache_miss: row.cacheMissNanoUsd / 1_000,
    output: row.outputNanoUsd / 1_000,
    source: row.source,
  };
}
