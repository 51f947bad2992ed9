/**
 * Refunds and disputes: the account gives back what the provider took back, whatever the order of the events.
 *
 * An order has facts (what each refund or dispute has taken in all, which only grows, and whether it was given back)
 * and steps. A step is the difference between what the facts say and what the steps before it already did, written in
 * the same D1 batch as the fact, so that concurrent and late events cannot both act on one difference. Then the Wallet
 * is told of every step that it has not answered, under the step's own reference: twice is once.
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
import { NANO_PER_CENT, type ReversalEvent } from './provider.ts';
import { syncRechargeWatch } from './recharge/watch.ts';

/** Broken off anywhere, the next delivery about the order goes on from there. */
export async function applyReversal(
  env: Env,
  db: Database,
  { event, order, nowMs }: { event: ReversalEvent; order: PaymentOrder; nowMs: number },
): Promise<void> {
  await addReversal(db, order, {
    source: event.source,
    amountNanoUsd: nanoUsd(event.reversedCents * NANO_PER_CENT),
    returned: event.returned,
    nowMs,
  });

  for (const step of await listCorrections(db, order.id)) {
    if (step.uncollectedNanoUsd !== null) continue;
    if (step.amountNanoUsd < 0) await stopRecharge(env, db, { accountId: order.accountId, nowMs });
    await closeCorrection(db, order, step, await tellWallet(env, order, step), nowMs);
  }
}

/** Before the balance falls: a card whose payment was taken back is not charged again for the gap which that leaves. */
async function stopRecharge(
  env: Env,
  db: Database,
  { accountId, nowMs }: { accountId: string; nowMs: number },
): Promise<void> {
  if ((await findAutoRecharge(db, accountId))?.enabled !== true) return;
  await turnOff(db, { accountId, why: 'reversed', nowMs });
  await syncRechargeWatch(env, accountId);
}

/** @returns what the Wallet did not have, so that it is owed; below zero: how much of a debt was cancelled */
async function tellWallet(
  env: Env,
  order: PaymentOrder,
  { seq, amountNanoUsd: toMove }: PaymentCorrection,
): Promise<NanoUsd> {
  const { uncollectedNanoUsd } = await env.WALLET.getByName(order.accountId).correct({
    reference: `${order.id}/${seq}`,
    amountNanoUsd: nanoUsd(toMove),
  });
  const within = toMove < 0 ? uncollectedNanoUsd >= 0 : uncollectedNanoUsd <= 0;
  if (!within || Math.abs(uncollectedNanoUsd) > Math.abs(toMove))
    throw new Error(`step ${seq} of order ${order.id} was corrected by another amount`);
  return uncollectedNanoUsd;
}
