/** Task `deliver`: one attempt to deliver a notice to one address, recorded in the delivery log. */
import { isSuspended } from '../db/accounts.ts';
import { database } from '../db/client.ts';
import {
  claimAttempt,
  type DeliveryRow,
  failOverdue,
  findDelivery,
  recordAttempt,
  reopenDelivery,
} from '../db/notice-deliveries.ts';
import { noticeAddresses } from '../db/notices.ts';
import { findEndpoint, removeEndpoint } from '../db/webhook-endpoints.ts';
import { type Notification, rolesToldOf } from '../domain/notice.ts';
import { DONE, type TaskResult } from '../domain/task-result.ts';
import type { Env } from '../env.ts';
import { takeAttempt } from '../rate-limits/attempts.ts';
import { ANSWER_WITHIN_MS, type Attempt } from './attempt.ts';
import { mailer } from './email/mailer.ts';
import { noticeEmail } from './email/notice-email.ts';
import { nextDelayMs } from './retry-schedule.ts';
import { postWebhook } from './webhook/post.ts';

/** A claim lapses after twice an attempt's longest duration: an attempt still unrecorded then died with its isolate. */
const CLAIM_MS = 2 * ANSWER_WITHIN_MS;

/**
 * Makes one attempt. It is claimed before anything is sent, so of two equal tasks only one sends, and a delivered
 * notice is not sent again. If the isolate dies between the receiver's answer and our record, the notice is sent a
 * second time, under the same id.
 */
export async function deliver(
  env: Env,
  { deliveryId }: { deliveryId: string },
  nowMs: number,
): Promise<TaskResult> {
  const db = database(env);
  const logged = await findDelivery(db, deliveryId);
  if (logged === null || logged.delivery.state !== 'waiting') return DONE;
  const { delivery, notification } = logged;
  const dueInMs = (delivery.nextAtMs ?? nowMs) - nowMs;
  if (dueInMs > 0) return { done: false, retryInMs: dueInMs };
  const untilMs = nowMs + CLAIM_MS;
  if (!(await claimAttempt(db, { delivery, nowMs, untilMs }))) return { done: false, retryInMs: CLAIM_MS };

  const attempt = await CHANNELS[delivery.channel](env, { delivery, notification, nowMs });
  if (attempt.ok) {
    await recordAttempt(db, delivery.id, {
      state: 'delivered',
      lastStatus: attempt.status,
      lastFault: null,
      nextAtMs: null,
    });
    return DONE;
  }
  const { status: lastStatus, fault: lastFault, retry, retryAfterMs } = attempt;
  const retryInMs = retry
    ? nextDelayMs(delivery.attempts + 1, { retryAfterMs, random: Math.random() })
    : null;
  const nextAtMs = retryInMs === null ? null : nowMs + retryInMs;
  const state = retryInMs === null ? 'failed' : 'waiting';
  await recordAttempt(db, delivery.id, { state, lastStatus, lastFault, nextAtMs });
  return retryInMs === null ? DONE : { done: false, retryInMs };
}

/**
 * Starts a failed delivery over. A delivery that has not failed is left alone, so a double click starts it once.
 * @returns false when the account has no such delivery
 */
export async function deliverAgain(
  env: Env,
  which: { accountId: string; deliveryId: string },
): Promise<boolean> {
  const db = database(env);
  const { accountId, deliveryId } = which;
  if (!(await reopenDelivery(db, which)))
    return (await findDelivery(db, deliveryId))?.delivery.accountId === accountId;
  try {
    await env.TASKS.send({ kind: 'deliver', deliveryId });
    return true;
  } catch (error) {
    // without its task the reopened delivery would stay `waiting` for ever
    await failOverdue(db, { id: deliveryId, fault: 'given_up', nowMs: Date.now() });
    throw error;
  }
}

interface Outgoing {
  readonly delivery: DeliveryRow;
  readonly notification: Notification;
  readonly nowMs: number;
}

const CHANNELS: Record<DeliveryRow['channel'], (env: Env, outgoing: Outgoing) => Promise<Attempt>> = {
  email: byEmail,
  webhook: byWebhook,
};

async function byEmail(env: Env, { delivery, notification, nowMs }: Outgoing): Promise<Attempt> {
  const mail = mailer(env);
  if (mail === null) return { ok: false, status: null, fault: 'mail_not_configured', retry: false };
  const { accountId, target } = delivery;
  // checked again: by a later attempt the person may have left the account
  const roles = rolesToldOf(notification.notice);
  if (!(await noticeAddresses(database(env), { accountId, roles })).includes(target))
    return { ok: false, status: null, fault: 'mail_not_for_address', retry: false };
  const attempts = [
    { rule: 'notice_email', subject: target },
    { rule: 'notice_account', subject: accountId },
  ] as const;
  const { allowed, retryAfterMs } = await takeAttempt(env, attempts, nowMs);
  if (!allowed) return { ok: false, status: null, fault: 'mail_limited', retry: true, retryAfterMs };
  return mail.send({ to: target, ...(await noticeEmail(env, notification)) });
}

async function byWebhook(env: Env, { delivery, notification, nowMs }: Outgoing): Promise<Attempt> {
  const db = database(env);
  const which = { accountId: delivery.accountId, endpointId: delivery.target };
  const endpoint = await findEndpoint(db, which);
  if (endpoint === null) return { ok: false, status: null, fault: 'endpoint_removed', retry: false };
  if (await isSuspended(db, delivery.accountId))
    return { ok: false, status: null, fault: 'account_suspended', retry: false };
  const attempt = await postWebhook(env, { webhookId: delivery.id, endpoint, notification, nowMs });
  // 410 Gone: the receiver wants no further notices at all, so its endpoint is removed
  if (!attempt.ok && attempt.fault === 'gone') await removeEndpoint(db, { ...which, nowMs });
  return attempt;
}
