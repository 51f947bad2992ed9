/** What an account is told about its recharges, besides a refusal. Each notice is named after what it is about. */

import type { PaymentOrder } from '../../db/payments.ts';
import { monthStartMs } from '../../db/recharges.ts';
import { type NanoUsd, nanoUsd } from '../../domain/money.ts';
import type { Env } from '../../env.ts';
import { raiseNotice } from '../../notifications/raise.ts';

export async function noticePaid(
  env: Env,
  { accountId, id: orderId, amountNanoUsd }: PaymentOrder,
  nowMs: number,
): Promise<void> {
  const notice = { kind: 'recharge.paid', orderId, amountNanoUsd: nanoUsd(amountNanoUsd) } as const;
  await raiseNotice(env, { accountId, cause: `${orderId}/paid`, notice, nowMs });
}

/** Once a month, however often the balance asks. */
export async function noticeMonthlyMax(
  env: Env,
  about: { accountId: string; rechargedNanoUsd: NanoUsd; monthlyMaxNanoUsd: NanoUsd; nowMs: number },
): Promise<void> {
  const { accountId, nowMs, ...sums } = about;
  const month = new Date(monthStartMs(nowMs)).toISOString().slice(0, 'yyyy-mm'.length);
  const notice = { kind: 'recharge.monthly_max', ...sums } as const;
  await raiseNotice(env, { accountId, cause: `monthly_max/${month}`, notice, nowMs });
}
