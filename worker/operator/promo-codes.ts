/** The operator API's promo codes: the existing ones, and a new one. The console offers the same. */
import { Hono } from 'hono';
import * as z from 'zod';
import { UsdAmount } from '../billing/grants.ts';
import {
  createPromoCode,
  PROMO_AMOUNT_MAX,
  PROMO_CODE,
  PROMO_REDEMPTIONS_MAX,
} from '../billing/promo-codes.ts';
import { database } from '../db/client.ts';
import { listPromoCodes } from '../db/promo-codes.ts';
import { formatUsd, nanoUsd } from '../domain/money.ts';
import { parseBody } from '../http/control-body.ts';
import { refuse } from '../http/control-error.ts';
import { Instant, iso } from './fields.ts';
import type { OperatorEnv } from './token.ts';

/** More than the console shows at once; older codes are in the audit trail. */
const LISTED_MAX = 1_000;

const PromoCodeRequest = z.strictObject({
  code: z.string().toUpperCase().regex(PROMO_CODE, 'must be 4 to 32 letters A to Z, digits or dashes'),
  amount_usd: UsdAmount.refine(
    (value) => value <= PROMO_AMOUNT_MAX,
    `must be at most ${formatUsd(PROMO_AMOUNT_MAX)}`,
  ),
  redemptions_max: z.int().min(1).max(PROMO_REDEMPTIONS_MAX),
  /** null: it does not expire. */
  expires_at: Instant.nullable().default(null),
});

export const promoCodesApi = new Hono<OperatorEnv>();

promoCodesApi.get('/', async (c) => {
  const codes = await listPromoCodes(database(c.env), LISTED_MAX);
  return c.json({
    promo_codes: codes.map((row) => ({
      code: row.code,
      amount_usd: formatUsd(nanoUsd(row.amountNanoUsd)),
      redeemed: row.redeemed,
      redemptions_max: row.redemptionsMax,
      expires_at: row.expiresAtMs === null ? null : iso(row.expiresAtMs),
      created_at: iso(row.createdAtMs),
      created_by: row.createdBy,
    })),
  });
});

promoCodesApi.post('/', async (c) => {
  const body = await parseBody(c, PromoCodeRequest);
  if (body instanceof Response) return body;
  const code = {
    code: body.code,
    amountNanoUsd: body.amount_usd,
    redemptionsMax: body.redemptions_max,
    expiresAtMs: body.expires_at,
  };
  const result = await createPromoCode(c.env, { code, actor: c.get('actor'), nowMs: Date.now() });
  return result.ok ? c.json({ code: body.code }, 201) : refuse(c, result.reason);
});
