/**
 * Refunds and disputes: the account gives back what the provider took back, whatever the order of the events.
 *
 * An order has facts (the total that each refund or dispute has taken, which only grows, and whether it was given
 * back) and steps. A step is the difference between the facts and what earlier steps already did, written in the same
 * D1 batch as the fact, so that concurrent and late events cannot both act on one difference. Then the Wallet gets
 * every step that it has not answered, under the step's own reference: the same step twice is applied once.
 */
import { findAutoRecharge, turnOff } from '../db/auto-recharge.ts';
import type { Database } from '../db/client.ts';
import {
  addReversal,
  closeCorrection,
  listCorrections,
  type PaymentCorrection,
  type PaymentOrder,
} from '../db/payments.ts';
import { type NanoUsd, nanoUsd } from '../domain/money.ts';
import type { Env } from '../env.ts';
import { LoggableError } from '../lib/describe-error.ts';
import { NANO_PER_CENT, type ReversalEvent } from './provider.ts';
import { syncRechargeThreshold } from './recharge/threshold.ts';

/** The part of an order's amount that a source took back. */
export interface Reversal {
  readonly source: string;
  /** Without the tax; below zero for a refund that failed. */
  readonly amountNanoUsd: NanoUsd;
  /** As in `ReversalEvent`. */
  readonly returned: boolean;
}

/**
 * The part of a reversal that concerns the credit. Tax that was paid on top of the amount returns in proportion, so that a
 * refund of everything takes exactly the credit, and of a part no more than its share.
 */
export function reversedOf(event: ReversalEvent, order: PaymentOrder): Reversal {
  const { source, returned, reversedCents } = event;
  const total = BigInt(order.amountNanoUsd + order.taxNanoUsd);
  // BigInt: the product of two amounts exceeds 2⁵³. Its division rounds towards zero, in the customer's favour.
  const credit = (BigInt(reversedCents * NANO_PER_CENT) * BigInt(order.amountNanoUsd)) / total;
  return { source, returned, amountNanoUsd: nanoUsd(Number(credit)) };
}

/** Applies a reversal. If it breaks off anywhere, the next delivery about the order completes it. */
export async function applyReversal(
  env: Env,
  db: Database,
  { reversal, order, nowMs }: { reversal: Reversal; order: PaymentOrder; nowMs: number },
): Promise<void> {
  await addReversal(db, order, { ...reversal, nowMs });

  for (const step of await listCorrections(db, order.id)) {
    if (step.uncollectedNanoUsd !== null) continue;
    if (step.amountNanoUsd < 0) await stopRecharge(env, db, { accountId: order.accountId, nowMs });
    await closeCorrection(db, order, step, await correctWallet(env, order, step), nowMs);
  }
}

/**
 * Turns recharge off before the balance falls: a card whose payment was taken back must not be charged for the gap
 * that this leaves.
 */
async function stopRecharge(
  env: Env,
  db: Database,
  { accountId, nowMs }: { accountId: string; nowMs: number },
): Promise<void> {
  if ((await findAutoRecharge(db, accountId))?.enabled !== true) return;
  await turnOff(db, { accountId, why: 'reversed', nowMs });
  await syncRechargeThreshold(env, accountId);
}

/**
 * Applies one step to the Wallet.
 * @returns what the Wallet did not have, so that it is owed; below zero: how much of a debt was cancelled
 */
async function correctWallet(
  env: Env,
  order: PaymentOrder,
  { seq, amountNanoUsd: stepNanoUsd }: PaymentCorrection,
): Promise<NanoUsd> {
  const { uncollectedNanoUsd } = await env.WALLET.getByName(order.accountId).correct({
    reference: `${order.id}/${seq}`,
    amountNanoUsd: nanoUsd(stepNanoUsd),
  });
  const within = stepNanoUsd < 0 ? uncollectedNanoUsd >= 0 : uncollectedNanoUsd <= 0;
  if (!within || Math.abs(uncollectedNanoUsd) > Math.abs(stepNanoUsd))
    throw new LoggableError(`step ${seq} of order ${order.id} was corrected by another amount`);
  return uncollectedNanoUsd;
}
