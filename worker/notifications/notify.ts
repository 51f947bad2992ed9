/** Task `notify`: opens a delivery of the notice to each address and endpoint of its account, and a task for each. */
import { database } from '../db/client.ts';
import { type DeliveryTarget, openDeliveries } from '../db/notice-deliveries.ts';
import { findNotice, noticeAddresses, noticeSettingOf } from '../db/notices.ts';
import { listEndpoints } from '../db/webhook-endpoints.ts';
import { isAlwaysMailed, type Notification, rolesToldOf } from '../domain/notice.ts';
import { DONE, type TaskResult } from '../domain/task-result.ts';
import type { Env } from '../env.ts';
import { sendAll } from '../lib/send-all.ts';

/** Safe to repeat: a delivery is opened once, and its task checks for itself whether anything is left to do. */
export async function notify(
  env: Env,
  { noticeId }: { noticeId: string },
  nowMs: number,
): Promise<TaskResult> {
  const db = database(env);
  const notification = await findNotice(db, noticeId);
  // the row is written before the task is sent
  if (notification === null) throw new Error('the notice does not exist');
  const targets = await targetsOf(env, notification);
  const deliveryIds = await openDeliveries(db, { notification, targets, nowMs });
  await sendAll(
    env.TASKS,
    deliveryIds.map((deliveryId) => ({ kind: 'deliver', deliveryId })),
  );
  return DONE;
}

async function targetsOf(env: Env, { accountId, notice }: Notification): Promise<DeliveryTarget[]> {
  const db = database(env);
  const [{ byEmail }, endpoints] = await Promise.all([
    noticeSettingOf(db, accountId),
    listEndpoints(db, accountId),
  ]);
  const isMailed = byEmail || isAlwaysMailed(notice);
  const addresses = isMailed ? await noticeAddresses(db, { accountId, roles: rolesToldOf(notice) }) : [];
  return [
    ...addresses.map((target): DeliveryTarget => ({ channel: 'email', target })),
    ...endpoints.map(({ id }): DeliveryTarget => ({ channel: 'webhook', target: id })),
  ];
}
