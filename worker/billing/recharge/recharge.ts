/**
 * Recharge: the saved card is charged when the balance has fallen below its owner's level. Asked at least once, often
 * several times at once, so what makes it one charge is the database: an account has at most one open recharge, and the
 * order's id is the provider's idempotency key. No credit comes from here; an answer can only end an order that failed.
 *
 * open the order → look at the balance → charge → (the provider's event credits, or refuses)
 *
 * The balance is looked at once more after the order is open: an earlier recharge has left that state by then, and its credit is
 * written before it does. So a slow event never leads to a second charge.
 */
import { type AutoRecharge, findAutoRecharge } from '../../db/auto-recharge.ts';
import { database } from '../../db/client.ts';
import type { PaymentOrder } from '../../db/payments.ts';
import { dropRecharge, findOpenRecharge, openRecharge, rechargedInMonth } from '../../db/recharges.ts';
import { newId } from '../../domain/ids.ts';
import { nanoUsd } from '../../domain/money.ts';
import type { Env } from '../../env.ts';
import { describeError } from '../../lib/describe-error.ts';
import { CURRENCY } from '../payable.ts';
import { type PaymentProvider, ProviderError } from '../provider.ts';
import { providerNamed } from '../providers.ts';
import { applyDecline } from './decline.ts';
import { noticeMonthlyMax } from './notices.ts';
import { syncRechargeWatch } from './watch.ts';

/** Longer than a call with all its retries: before that, whoever opened the order may still be waiting for its answer. */
const CALL_MS_MAX = 2 * 60_000;
/** Stripe forgets an idempotency key after 24 hours at the earliest; after that an order is never charged again. */
const KEY_LIFE_MS = 23 * 3_600_000;

export interface RechargeResult {
  readonly outcome:
    | 'off'
    | 'not_needed'
    /** another recharge would pass the month's maximum */
    | 'monthly_max'
    /** the card is being charged: the event will tell */
    | 'pending'
    | 'declined'
    /** another one is under way */
    | 'in_flight'
    /** the provider did not answer: the order stays open */
    | 'unknown';
  /** when it is worth asking again, should nobody else; null: it is not */
  readonly askAgainMs: number | null;
}

interface Asked {
  readonly accountId: string;
  readonly nowMs: number;
}

export async function recharge(env: Env, asked: Asked): Promise<RechargeResult> {
  const db = database(env);
  const rule = await findAutoRecharge(db, asked.accountId);
  const open = await findOpenRecharge(db, asked.accountId);
  if (open !== null) return resume(env, { order: open, rule, nowMs: asked.nowMs });
  if (!isOn(rule)) return off(env, asked.accountId);
  const provider = providerNamed(env, rule.provider);
  // An order that nobody can charge would only be in the way of the next.
  if (provider === null) return unserved(rule);
  // Most who ask once more find it done: they leave no order behind.
  if (!(await isBelow(env, rule))) return { outcome: 'not_needed', askAgainMs: null };

  const { accountId, nowMs } = asked;
  const request = { orderId: newId('order', nowMs), accountId, methodRef: rule.methodRef, nowMs };
  const order = await openRecharge(db, { ...request, currency: CURRENCY });
  if (order === null) return whyNotOpened(env, rule, nowMs);
  return charge(env, { provider, order, rule, nowMs });
}

interface Work {
  readonly provider: PaymentProvider;
  readonly order: PaymentOrder;
  readonly rule: OnRule;
  readonly nowMs: number;
}

async function charge(env: Env, { provider, order, rule, nowMs }: Work): Promise<RechargeResult> {
  if (!(await isBelow(env, rule))) {
    await dropRecharge(database(env), order.id);
    return { outcome: 'not_needed', askAgainMs: null };
  }
  const { id: orderId, currency } = order;
  const { customerRef, methodRef } = rule;
  const amountNanoUsd = nanoUsd(order.amountNanoUsd);
  try {
    const state = await provider.chargeCard({ orderId, amountNanoUsd, currency, customerRef, methodRef });
    if (state.state === 'pending') return { outcome: 'pending', askAgainMs: null };
    await applyDecline(env, { order, why: state.why, event: null, nowMs });
    return { outcome: 'declined', askAgainMs: null };
  } catch (error) {
    return unknown(order, error);
  }
}

/** An order that somebody opened before and nothing has ended: the provider knows whether it was charged. */
async function resume(
  env: Env,
  { order, rule, nowMs }: { order: PaymentOrder; rule: AutoRecharge | null; nowMs: number },
): Promise<RechargeResult> {
  const ageMs = nowMs - order.createdAtMs;
  if (ageMs < CALL_MS_MAX) return { outcome: 'in_flight', askAgainMs: CALL_MS_MAX - ageMs };
  if (!rule?.customerRef || rule.provider !== order.provider) {
    // Another provider is in use by now: nobody is left to ask, nor to charge.
    await dropRecharge(database(env), order.id);
    return { outcome: 'off', askAgainMs: null };
  }
  const provider = providerNamed(env, rule.provider);
  if (provider === null) return unserved(rule);
  try {
    const lookUp = { orderId: order.id, customerRef: rule.customerRef, createdAtMs: order.createdAtMs };
    const found = await provider.findCharge(lookUp);
    if (found?.state === 'declined') {
      await applyDecline(env, { order, why: found.why, event: null, nowMs });
      return { outcome: 'declined', askAgainMs: null };
    }
    if (found?.state === 'pending') {
      if (ageMs > KEY_LIFE_MS) console.error(JSON.stringify({ event: 'recharge_untold', order: order.id }));
      return { outcome: 'in_flight', askAgainMs: null };
    }
  } catch (error) {
    return unknown(order, error);
  }
  if (isOn(rule) && ageMs < KEY_LIFE_MS) return charge(env, { provider, order, rule, nowMs });
  await dropRecharge(database(env), order.id);
  return { outcome: 'not_needed', askAgainMs: 0 };
}

async function whyNotOpened(env: Env, rule: OnRule, nowMs: number): Promise<RechargeResult> {
  const db = database(env);
  const { accountId } = rule;
  if ((await findOpenRecharge(db, accountId)) !== null)
    return { outcome: 'in_flight', askAgainMs: CALL_MS_MAX };
  const rechargedNanoUsd = await rechargedInMonth(db, accountId, nowMs);
  // Turned off, another card, or a recharge that ended in between: whoever changed it told the Wallet to look again.
  if (rechargedNanoUsd + rule.amountNanoUsd <= rule.monthlyMaxNanoUsd) return off(env, accountId);
  const monthlyMaxNanoUsd = nanoUsd(rule.monthlyMaxNanoUsd);
  await noticeMonthlyMax(env, { accountId, rechargedNanoUsd, monthlyMaxNanoUsd, nowMs });
  return { outcome: 'monthly_max', askAgainMs: null };
}

/** The Wallet would not have asked had it been told: it is told again. */
async function off(env: Env, accountId: string): Promise<RechargeResult> {
  await syncRechargeWatch(env, accountId);
  return { outcome: 'off', askAgainMs: null };
}

/** The operator took the provider's keys away: what is open waits for them, and nothing new begins. */
function unserved({ accountId, provider }: AutoRecharge): RechargeResult {
  console.error(JSON.stringify({ event: 'recharge_unserved', accountId, provider }));
  return { outcome: 'off', askAgainMs: null };
}

function unknown(order: PaymentOrder, error: unknown): RechargeResult {
  if (!(error instanceof ProviderError)) throw error;
  console.error(JSON.stringify({ event: 'recharge_unknown', order: order.id, error: describeError(error) }));
  return { outcome: 'unknown', askAgainMs: CALL_MS_MAX };
}

/** By the ledger balance, as the Wallet looks at it: holds come back or become charges. */
async function isBelow(env: Env, { accountId, belowNanoUsd }: AutoRecharge): Promise<boolean> {
  const { grantedNanoUsd, paidNanoUsd } = await env.WALLET.getByName(accountId).balance();
  return grantedNanoUsd + paidNanoUsd < belowNanoUsd;
}

type OnRule = AutoRecharge & { enabled: true; customerRef: string; methodRef: string };

function isOn(rule: AutoRecharge | null): rule is OnRule {
  return rule?.enabled === true && rule.customerRef !== null && rule.methodRef !== null;
}
