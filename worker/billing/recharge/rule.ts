/** The owner's rule for recharge: on or off, below which balance, how much, and how much in a month. */
import { type RechargeRule, turnOff, turnOn } from '../../db/auto-recharge.ts';
import { database } from '../../db/client.ts';
import { type NanoUsd, usd } from '../../domain/money.ts';
import type { Env } from '../../env.ts';
import { isPayable, TOP_UP_MAX } from '../payable.ts';
import { syncRechargeThreshold } from './threshold.ts';

/** One recharge should lift the balance to its level, so the level cannot exceed one payment. */
export const BELOW_MAX = TOP_UP_MAX;
/** Ten of the largest payments: more than that in a month is agreed on with the operator. */
export const MONTHLY_MAX = usd(50_000);

export type RuleFault =
  | 'below_out_of_bounds'
  | 'amount_out_of_bounds'
  /** An empty balance would need several charges in a row. */
  | 'amount_too_small'
  | 'monthly_max_out_of_bounds';

export type AutoRechargeResult = { ok: true } | { ok: false; reason: RuleFault | 'no_card' };

/** Turns recharge on with `rule`, or off (null). Turning it off does not stop a charge that is under way. */
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
  await syncRechargeThreshold(env, accountId);
  return { ok: true };
}

type Rule = { readonly [Part in keyof RechargeRule]: number };

function faultOf({ belowNanoUsd, amountNanoUsd, monthlyMaxNanoUsd }: Rule): RuleFault | null {
  if (!within(belowNanoUsd, { min: 1, max: BELOW_MAX })) return 'below_out_of_bounds';
  if (!isPayable(amountNanoUsd)) return 'amount_out_of_bounds';
  if (amountNanoUsd < belowNanoUsd) return 'amount_too_small';
  // A maximum below one recharge would allow none.
  return within(monthlyMaxNanoUsd, { min: amountNanoUsd, max: MONTHLY_MAX })
    ? null
    : 'monthly_max_out_of_bounds';
}

function within(value: number, { min, max }: { min: number; max: NanoUsd }): boolean {
  return Number.isSafeInteger(value) && min <= value && value <= max;
}
