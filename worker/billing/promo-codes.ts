/**
 * Promo codes: an operator creates them, an account redeems each once. D1 decides who gets one of those that are
 * left, then the Wallet credits it. A redemption that broke off between the two is completed by redeeming again.
 */
import { database } from '../db/client.ts';
import {
  findPromoCode,
  hasRedeemed,
  insertPromoCode,
  type PromoCodeRow,
  takeRedemption,
} from '../db/promo-codes.ts';
import { promoGrantId } from '../domain/grant-id.ts';
import type { Entry } from '../domain/ledger.ts';
import { formatUsd, nanoUsd, usd } from '../domain/money.ts';
import type { Env } from '../env.ts';
import { takeAttempt } from '../rate-limits/attempts.ts';

export const PROMO_CODE = /^[A-Z0-9-]{4,32}$/;
/** A typing error should not give away more than this to each account that redeems the code. */
export const PROMO_AMOUNT_MAX = usd(1_000);
export const PROMO_REDEMPTIONS_MAX = 1_000_000;

export type NewPromoCode = Pick<PromoCodeRow, 'code' | 'amountNanoUsd' | 'redemptionsMax' | 'expiresAtMs'>;
export type PromoCodeFault = 'promo_code_taken' | 'promo_expires_in_past';

/** Creates a code, with its audit row in the same batch. */
export async function createPromoCode(
  env: Env,
  order: { code: NewPromoCode; actor: string; nowMs: number },
): Promise<{ ok: true } | { ok: false; reason: PromoCodeFault }> {
  const { code, actor, nowMs } = order;
  if (code.expiresAtMs !== null && code.expiresAtMs <= nowMs)
    return { ok: false, reason: 'promo_expires_in_past' };
  const detail = {
    amount_usd: formatUsd(nanoUsd(code.amountNanoUsd)),
    redemptions: code.redemptionsMax,
    until: code.expiresAtMs === null ? null : new Date(code.expiresAtMs).toISOString(),
  };
  const made = await insertPromoCode(
    database(env),
    { ...code, createdAtMs: nowMs, createdBy: actor },
    { atMs: nowMs, actor, action: 'promo_code.created', subject: code.code, detail },
  );
  return made ? { ok: true } : { ok: false, reason: 'promo_code_taken' };
}

export type Redemption =
  /** `before`: the account had already redeemed it; its credit exists all the same. */
  | { ok: true; entry: Entry; before: boolean }
  /** Unknown and expired codes have the same reason, so that guessing does not reveal which codes there were. */
  | { ok: false; reason: 'promo_unknown' | 'promo_used_up' }
  | { ok: false; reason: 'too_many_attempts'; retryAfterMs: number };

/** Redeems a code. @param typed as a person typed it: case and surrounding spaces do not count */
export async function redeemPromoCode(
  env: Env,
  { accountId, typed, nowMs }: { accountId: string; typed: string; nowMs: number },
): Promise<Redemption> {
  const { retryAfterMs } = await takeAttempt(env, [{ rule: 'promo_account', subject: accountId }], nowMs);
  if (retryAfterMs > 0) return { ok: false, reason: 'too_many_attempts', retryAfterMs };
  const code = typed.trim().toUpperCase();
  const db = database(env);
  const known = PROMO_CODE.test(code) ? await findPromoCode(db, code) : null;
  if (known === null) return { ok: false, reason: 'promo_unknown' };

  const before = await hasRedeemed(db, { code, accountId });
  if (!before && !(await takeRedemption(db, { code, accountId, nowMs }))) {
    // When two forms are sent at once, one finds that the other has taken the redemption.
    if (!(await hasRedeemed(db, { code, accountId })))
      return { ok: false, reason: isOver(known, nowMs) ? 'promo_unknown' : 'promo_used_up' };
  }
  const amountNanoUsd = nanoUsd(known.amountNanoUsd);
  const entry = await env.WALLET.getByName(accountId).grant({ grantId: promoGrantId(code), amountNanoUsd });
  return { ok: true, entry, before };
}

function isOver({ expiresAtMs }: PromoCodeRow, nowMs: number): boolean {
  return expiresAtMs !== null && expiresAtMs <= nowMs;
}
