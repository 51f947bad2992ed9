/**
 * Recharge: charges the saved card when the balance has fallen below its owner's level. It is called at least once,
 * often several times at once, so the database makes it one charge: an account has at most one open recharge, and the
 * order's id is the provider's idempotency key. No credit comes from here; the provider's response can only end an
 * order that failed.
 *
 * open the order → check the balance → charge → (the provider's event credits, or declines)
 *
 * The balance is checked again after the order is open: an earlier recharge is closed by then, and its credit is
 * written before it closes. So a slow event never leads to a second charge.
 */

import { isSuspended } from '../../db/accounts.ts';
import { type AutoRecharge, findAutoRecharge } from '../../db/auto-recharge.ts';
import { database } from '../../db/client.ts';
import type { PaymentOrder } from '../../db/payments.ts';
import {
  closeUnchargedRecharge,
  findOpenRecharge,
  openRecharge,
  rechargedInMonth,
} from '../../db/recharges.ts';
import { newId } from '../../domain/ids.ts';
import { nanoUsd } from '../../domain/money.ts';
import type { Env } from '../../env.ts';
import { describeError } from '../../lib/describe-error.ts';
import { CURRENCY } from '../payable.ts';
import { type PaymentProvider, ProviderError } from '../provider.ts';
import { providerNamed } from '../providers.ts';
import { applyDecline } from './decline.ts';
import { raiseMonthlyMaxNotice } from './notices.ts';
import { syncRechargeThreshold } from './threshold.ts';

/** Longer than a call with all its retries: until then the caller that opened the order may still be waiting for it. */
const CALL_MS_MAX = 2 * 60_000;
/** Stripe forgets an idempotency key after 24 hours at the earliest, so an older order is never charged again. */
const KEY_LIFE_MS = 23 * 3_600_000;

export interface RechargeResult {
  readonly outcome:
    | 'off'
    | 'not_needed'
    /** Another recharge would exceed the month's maximum. */
    | 'monthly_max'
    /** The card is being charged; an event will report the outcome. */
    | 'pending'
    | 'declined'
    /** Another recharge is under way. */
    | 'in_flight'
    /** The provider did not answer; the order stays open. */
    | 'unknown';
  /** Milliseconds after which to try again; null: no retry is needed. */
  readonly retryAfterMs: number | null;
}

interface RechargeRequest {
  readonly accountId: string;
  readonly nowMs: number;
}

/** Runs one recharge task: resumes an open recharge, or opens and charges a new one if the balance needs it. */
export async function recharge(env: Env, request: RechargeRequest): Promise<RechargeResult> {
  const db = database(env);
  const rule = await findAutoRecharge(db, request.accountId);
  const open = await findOpenRecharge(db, request.accountId);
  if (open !== null) return resume(env, { order: open, rule, nowMs: request.nowMs });
  if (!isOn(rule)) return resyncWhenOff(env, request.accountId);
  const provider = providerNamed(env, rule.provider);
  // An order that cannot be charged would only block the next one.
  if (provider === null) return providerMissing(rule);
  // Its card is not charged while an account is suspended. When it is resumed, the Wallet asks again within an hour.
  if (await isSuspended(db, request.accountId)) return { outcome: 'off', retryAfterMs: null };
  // Most repeated calls find the balance restored and leave no order behind.
  if (!(await isBelow(env, rule))) return { outcome: 'not_needed', retryAfterMs: null };

  const { accountId, nowMs } = request;
  const opening = { orderId: newId('order', nowMs), accountId, methodRef: rule.methodRef, nowMs };
  const order = await openRecharge(db, { ...opening, currency: CURRENCY });
  if (order === null) return resultNotOpened(env, rule, nowMs);
  return charge(env, { provider, order, rule, nowMs });
}

interface OpenedRecharge {
  readonly provider: PaymentProvider;
  readonly order: PaymentOrder;
  readonly rule: OnRule;
  readonly nowMs: number;
}

/** Checks once more that the account is not suspended and needs the money, and charges the opened order. */
async function charge(env: Env, { provider, order, rule, nowMs }: OpenedRecharge): Promise<RechargeResult> {
  const isStopped = await isSuspended(database(env), order.accountId);
  if (isStopped || !(await isBelow(env, rule))) {
    await closeUnchargedRecharge(database(env), order.id);
    return { outcome: isStopped ? 'off' : 'not_needed', retryAfterMs: null };
  }
  const { id: orderId, currency } = order;
  const { customerRef, methodRef } = rule;
  const amountNanoUsd = nanoUsd(order.amountNanoUsd);
  try {
    const state = await provider.chargeCard({ orderId, amountNanoUsd, currency, customerRef, methodRef });
    if (state.state === 'pending') return { outcome: 'pending', retryAfterMs: null };
    await applyDecline(env, { order, why: state.why, event: null, nowMs });
    return { outcome: 'declined', retryAfterMs: null };
  } catch (error) {
    return outcomeUnknown(order, error);
  }
}

/** Resumes an order that an earlier call opened and nothing has ended: the provider knows whether it was charged. */
async function resume(
  env: Env,
  { order, rule, nowMs }: { order: PaymentOrder; rule: AutoRecharge | null; nowMs: number },
): Promise<RechargeResult> {
  const ageMs = nowMs - order.createdAtMs;
  if (ageMs < CALL_MS_MAX) return { outcome: 'in_flight', retryAfterMs: CALL_MS_MAX - ageMs };
  if (!rule?.customerRef || rule.provider !== order.provider) {
    // Another provider is in use by now, so this one can neither be asked nor charged.
    await closeUnchargedRecharge(database(env), order.id);
    return { outcome: 'off', retryAfterMs: null };
  }
  const provider = providerNamed(env, rule.provider);
  if (provider === null) return providerMissing(rule);
  try {
    const lookUp = { orderId: order.id, customerRef: rule.customerRef, createdAtMs: order.createdAtMs };
    const found = await provider.findCharge(lookUp);
    if (found?.state === 'declined') {
      await applyDecline(env, { order, why: found.why, event: null, nowMs });
      return { outcome: 'declined', retryAfterMs: null };
    }
    if (found?.state === 'pending') {
      if (ageMs > KEY_LIFE_MS) console.error(JSON.stringify({ event: 'recharge_untold', order: order.id }));
      return { outcome: 'in_flight', retryAfterMs: null };
    }
  } catch (error) {
    return outcomeUnknown(order, error);
  }
  if (isOn(rule) && ageMs < KEY_LIFE_MS) return charge(env, { provider, order, rule, nowMs });
  await closeUnchargedRecharge(database(env), order.id);
  return { outcome: 'not_needed', retryAfterMs: 0 };
}

/** Finds out which condition of `openRecharge` did not hold. */
async function resultNotOpened(env: Env, rule: OnRule, nowMs: number): Promise<RechargeResult> {
  const db = database(env);
  const { accountId } = rule;
  if ((await findOpenRecharge(db, accountId)) !== null)
    return { outcome: 'in_flight', retryAfterMs: CALL_MS_MAX };
  const rechargedNanoUsd = await rechargedInMonth(db, accountId, nowMs);
  // Recharge was turned off, has another card, or ended in between: whichever changed it has updated the Wallet.
  if (rechargedNanoUsd + rule.amountNanoUsd <= rule.monthlyMaxNanoUsd) return resyncWhenOff(env, accountId);
  const monthlyMaxNanoUsd = nanoUsd(rule.monthlyMaxNanoUsd);
  await raiseMonthlyMaxNotice(env, { accountId, rechargedNanoUsd, monthlyMaxNanoUsd, nowMs });
  return { outcome: 'monthly_max', retryAfterMs: null };
}

/** The Wallet asked for a recharge although it is off, so its threshold is out of date: it is set again. */
async function resyncWhenOff(env: Env, accountId: string): Promise<RechargeResult> {
  await syncRechargeThreshold(env, accountId);
  return { outcome: 'off', retryAfterMs: null };
}

/** The operator removed the provider's keys: an open order waits for them, and no new one is opened. */
function providerMissing({ accountId, provider }: AutoRecharge): RechargeResult {
  console.error(JSON.stringify({ event: 'recharge_unserved', accountId, provider }));
  return { outcome: 'off', retryAfterMs: null };
}

function outcomeUnknown(order: PaymentOrder, error: unknown): RechargeResult {
  if (!(error instanceof ProviderError)) throw error;
  console.error(JSON.stringify({ event: 'recharge_unknown', order: order.id, error: describeError(error) }));
  return { outcome: 'unknown', retryAfterMs: CALL_MS_MAX };
}

/** Compares the ledger balance, as the Wallet does: holds come back or become charges. */
async function isBelow(env: Env, { accountId, belowNanoUsd }: AutoRecharge): Promise<boolean> {
  const { grantedNanoUsd, paidNanoUsd } = await env.WALLET.getByName(accountId).balance();
  return grantedNanoUsd + paidNanoUsd < belowNanoUsd;
}

type OnRule = AutoRecharge & { enabled: true; customerRef: string; methodRef: string };

function isOn(rule: AutoRecharge | null): rule is OnRule {
  return rule?.enabled === true && rule.customerRef !== null && rule.methodRef !== null;
}
