/** What the owner of an account decides about recharge: on or off, when, how much, and how much in a month. */
import { type RechargeRule, turnOff, turnOn } from '../../db/auto-recharge.ts';
import { database } from '../../db/client.ts';
import { type NanoUsd, usd } from '../../domain/money.ts';
import type { Env } from '../../env.ts';
import { isPayable, TOP_UP_MAX } from '../payable.ts';
import { syncRechargeWatch } from './watch.ts';

/** One recharge lifts the balance to its level, so that cannot be more than one payment. */
export const BELOW_MAX = TOP_UP_MAX;
/** Ten of the largest payments: what an account spends beyond that in a month is agreed on with the operator. */
export const MONTHLY_MAX = usd(50_000);

export type RuleFault =
  | 'below_out_of_bounds'
  | 'amount_out_of_bounds'
  /** an empty balance would be charged several times in a row */
  | 'amount_too_small'
  | 'monthly_max_out_of_bounds';

export type AutoRechargeResult = { ok: true } | { ok: false; reason: RuleFault | 'no_card' };

/** Turns it on with `rule`, or off. What is off stays off for charges that are not under way yet. */
export async function setAutoRecharge(
  env: Env,
  { accountId, rule, nowMs }: { accountId: string; rule: Rule | null; nowMs: number },
): Promise<AutoRechargeResult> {
  const db = database(env);
  if (rule === null) {
    await turnOff(db, { accountId, why: null, nowMs });
  } else {
    const fault = faultOf(rule);
    if (fault !== null) return { ok: false, reason: fault };
    if (!(await turnOn(db, accountId, rule as RechargeRule, nowMs))) return { ok: false, reason: 'no_card' };
  }
  await syncRechargeWatch(env, accountId);
  return { ok: true };
}

type Rule = { readonly [Part in keyof RechargeRule]: number };

function faultOf({ belowNanoUsd, amountNanoUsd, monthlyMaxNanoUsd }: Rule): RuleFault | null {
  if (!within(belowNanoUsd, { min: 1, max: BELOW_MAX })) return 'below_out_of_bounds';
  if (!isPayable(amountNanoUsd)) return 'amount_out_of_bounds';
  if (amountNanoUsd < belowNanoUsd) return 'amount_too_small';
  // less than one recharge would be none
  return within(monthlyMaxNanoUsd, { min: amountNanoUsd, max: MONTHLY_MAX })
    ? null
    : 'monthly_max_out_of_bounds';
}

function within(value: number, { min, max }: { min: number; max: NanoUsd }): boolean {
  return Number.isSafeInteger(value) && min <= value && value <= max;
}
