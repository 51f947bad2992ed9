/**
 * The queue's consumer: runs background tasks, one function for each kind. Each message is acknowledged or retried by
 * itself, so one that fails or is malformed does not hold up others.
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

type TaskOf<K extends Task['kind']> = Extract<Task, { kind: K }>;

const HANDLERS: { [K in Task['kind']]: (env: Env, task: TaskOf<K>, nowMs: number) => Promise<TaskResult> } = {
  notify,
  deliver,
  recharge: async (env, { accountId }, nowMs) => {
    const { retryAfterMs } = await recharge(env, { accountId, nowMs });
    return retryAfterMs === null ? DONE : { done: false, retryInMs: retryAfterMs };
  },
  canary: async (env, { nodeId }, nowMs) => {
    await runCanary(env, nodeId, nowMs);
    return DONE;
  },
  letter: deliverAccountEmail,
};

/** For each task kind: the field with its subject's id, and that id's prefix. */
const SUBJECTS: Record<Task['kind'], { field: string; prefix: IdPrefix }> = {
  notify: { field: 'noticeId', prefix: 'note' },
  deliver: { field: 'deliveryId', prefix: 'dlv' },
  recharge: { field: 'accountId', prefix: 'acct' },
  canary: { field: 'nodeId', prefix: 'node' },
  letter: { field: 'letterId', prefix: 'ltr' },
};

/** The queue of messages that failed as often as the task queue allows; see wrangler.toml. */
export const FAILED_QUEUE = 'tollgate-tasks-failed';

export async function queue(batch: MessageBatch<unknown>, env: Env): Promise<void> {
  const handle = batch.queue === FAILED_QUEUE ? giveUp : run;
  await Promise.all(batch.messages.map((message) => handle(env, message)));
}

async function run(env: Env, message: Message<unknown>): Promise<void> {
  const { body, id, attempts } = message;
  if (!isTask(body)) {
    log('task_unknown', { messageId: id });
    message.ack();
    return;
  }
  try {
    const handle = HANDLERS[body.kind] as (env: Env, task: Task, nowMs: number) => Promise<TaskResult>;
    const result = await handle(env, body, Date.now());
    if (result.done) message.ack();
    else message.retry({ delaySeconds: Math.ceil(result.retryInMs / 1_000) });
  } catch (error) {
    log('task_failed', { messageId: id, task: body.kind, attempts, error: describeError(error) });
    message.retry({ delaySeconds: retryDelayS(attempts) });
  }
}

/** Gives up a task that failed too often: logs it for the operator, and marks a delivery as failed. */
async function giveUp(env: Env, message: Message<unknown>): Promise<void> {
  const { body, id } = message;
  try {
    if (isTask(body)) log('task_given_up', { messageId: id, ...loggable(body) });
    if (isTask(body) && body.kind === 'deliver') {
      await failOverdue(database(env), { id: body.deliveryId, fault: 'given_up', nowMs: Date.now() });
    }
    message.ack();
  } catch (error) {
    log('task_failed', { messageId: id, error: describeError(error) });
    message.retry({ delaySeconds: retryDelayS(message.attempts) });
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

/**
 * The fields of a task that may be logged: its kind and its subject. The rest may be secret, such as the link in an
 * e-mail.
 */
function loggable(task: Task): Record<string, string> {
  const { field } = SUBJECTS[task.kind];
  return { kind: task.kind, [field]: (task as unknown as Record<string, string>)[field]! };
}

const RETRY_DELAY_S_MAX = 3_600;

/** Delay after an unexpected failure: 10 s at first, doubled with each attempt, an hour at most. */
function retryDelayS(attempts: number): number {
  return Math.min(RETRY_DELAY_S_MAX, 10 * 2 ** (attempts - 1));
}

function log(event: string, facts: Record<string, string | number>): void {
  console.error(JSON.stringify({ event, ...facts }));
}
