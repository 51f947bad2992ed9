/** A bank refused a recharge: its owner is told, the order is closed, recharge is off, and the Wallet asks no more. */
import { database } from '../../db/client.ts';
import type { EventRow, PaymentOrder } from '../../db/payments.ts';
import { refuseRecharge } from '../../db/recharges.ts';
import type { DeclineReason } from '../../domain/decline.ts';
import { nanoUsd } from '../../domain/money.ts';
import type { Env } from '../../env.ts';
import { raiseNotice } from '../../notifications/raise.ts';
import { syncRechargeWatch } from './watch.ts';

/**
 * The provider's answer and its event both lead here, in any order and repeatedly: the notice is named after the order,
 * and only an open order is closed. The notice comes first, for afterwards nobody would come back to raise it.
 * @param request.event to be remembered with it; null: the provider answered so itself
 */
export async function applyDecline(
  env: Env,
  request: { order: PaymentOrder; why: DeclineReason; event: EventRow | null; nowMs: number },
): Promise<void> {
  const { order, why, event, nowMs } = request;
  if (order.state === 'open') {
    const amountNanoUsd = nanoUsd(order.amountNanoUsd);
    await raiseNotice(env, {
      accountId: order.accountId,
      cause: `${order.id}/declined`,
      notice: { kind: 'recharge.declined', orderId: order.id, amountNanoUsd, why },
      nowMs,
    });
  }
  await refuseRecharge(database(env), order, { why, event, nowMs });
  await syncRechargeWatch(env, order.accountId);
}
