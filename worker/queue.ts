/**
 * The queue's consumer: work behind requests, a function a kind of task. Each message is answered for by itself, so
 * one that fails or makes no sense keeps no other waiting.
 */
import { recharge } from './billing/recharge/recharge.ts';
import { database } from './db/client.ts';
import { failOverdue } from './db/notice-deliveries.ts';
import { type IdPrefix, isId } from './domain/ids.ts';
import type { Task } from './domain/task.ts';
import { DONE, type TaskResult } from './domain/task-result.ts';
import type { Env } from './env.ts';
import { runCanary } from './fleet/canary.ts';
import { describeError } from './lib/describe-error.ts';
import { deliver } from './notifications/deliver.ts';
import { deliverAccountEmail } from './notifications/email/send.ts';
import { notify } from './notifications/notify.ts';

type Of<K extends Task['kind']> = Extract<Task, { kind: K }>;

const WORK: { [K in Task['kind']]: (env: Env, task: Of<K>, nowMs: number) => Promise<TaskResult> } = {
  notify,
  deliver,
  recharge: async (env, { accountId }, nowMs) => {
    const { askAgainMs } = await recharge(env, { accountId, nowMs });
    return askAgainMs === null ? DONE : { done: false, againInMs: askAgainMs };
  },
  canary: async (env, { nodeId }, nowMs) => {
    await runCanary(env, nodeId, nowMs);
    return DONE;
  },
  letter: deliverAccountEmail,
};

/** What each kind is about: the field that names it, and of what it must be the id. */
const SUBJECTS: Record<Task['kind'], { field: string; prefix: IdPrefix }> = {
  notify: { field: 'noticeId', prefix: 'note' },
  deliver: { field: 'deliveryId', prefix: 'dlv' },
  recharge: { field: 'accountId', prefix: 'acct' },
  canary: { field: 'nodeId', prefix: 'node' },
  letter: { field: 'letterId', prefix: 'ltr' },
};

/** Where messages end that failed as often as the queue allows: see wrangler.toml. */
export const FAILED_QUEUE = 'tollgate-tasks-failed';

export async function queue(batch: MessageBatch<unknown>, env: Env): Promise<void> {
  const answer = batch.queue === FAILED_QUEUE ? giveUp : attend;
  await Promise.all(batch.messages.map((message) => answer(env, message)));
}

async function attend(env: Env, message: Message<unknown>): Promise<void> {
  const { body, id, attempts } = message;
  if (!isTask(body)) {
    log('task_unknown', { messageId: id });
    message.ack();
    return;
  }
  try {
    const work = WORK[body.kind] as (env: Env, task: Task, nowMs: number) => Promise<TaskResult>;
    const result = await work(env, body, Date.now());
    if (result.done) message.ack();
    else message.retry({ delaySeconds: Math.ceil(result.againInMs / 1_000) });
  } catch (error) {
    log('task_failed', { messageId: id, task: body.kind, attempts, error: describeError(error) });
    message.retry({ delaySeconds: patienceS(attempts) });
  }
}

/** The end of a task that never came to its end: a line for the operator, and for a delivery a word in its log. */
async function giveUp(env: Env, message: Message<unknown>): Promise<void> {
  const { body, id } = message;
  try {
    if (isTask(body)) log('task_given_up', { messageId: id, ...named(body) });
    if (isTask(body) && body.kind === 'deliver') {
      await failOverdue(database(env), { id: body.deliveryId, fault: 'given_up', nowMs: Date.now() });
    }
    message.ack();
  } catch (error) {
    log('task_failed', { messageId: id, error: describeError(error) });
    message.retry({ delaySeconds: patienceS(message.attempts) });
  }
}

function isTask(body: unknown): body is Task {
  if (typeof body !== 'object' || body === null) return false;
  const fields = body as Record<string, unknown>;
  if (typeof fields.kind !== 'string' || !Object.hasOwn(SUBJECTS, fields.kind)) return false;
  const { field, prefix } = SUBJECTS[fields.kind as Task['kind']];
  const subject = fields[field];
  return typeof subject === 'string' && isId(prefix, subject);
}

/** What a log may say of a task: its kind and its subject. A letter holds a link that is somebody's key. */
function named(task: Task): Record<string, string> {
  const { field } = SUBJECTS[task.kind];
  return { kind: task.kind, [field]: (task as unknown as Record<string, string>)[field]! };
}

const PATIENCE_S_MAX = 3_600;

/** After something that ought not to happen: soon at first, hourly at last. */
function patienceS(attempts: number): number {
  return Math.min(PATIENCE_S_MAX, 10 * 2 ** (attempts - 1));
}

function log(event: string, facts: Record<string, string | number>): void {
  console.error(JSON.stringify({ event, ...facts }));
}
