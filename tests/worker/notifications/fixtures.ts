/**
 * Test accounts with people to notify, a queue whose messages the test delivers, and a mail service that keeps its
 * e-mails.
 */
import { env as bindings } from 'cloudflare:workers';
import { insertAccount } from '../../../worker/db/accounts.ts';
import { database } from '../../../worker/db/client.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { usd } from '../../../worker/domain/money.ts';
import type { Notice } from '../../../worker/domain/notice.ts';
import type { Task } from '../../../worker/domain/task.ts';
import type { Env } from '../../../worker/env.ts';
import { addEndpoint } from '../../../worker/notifications/webhook/endpoints.ts';
import { queue } from '../../../worker/queue.ts';
import { checkBatch, checkMessage } from '../../queue-limits.ts';

export const db = database(bindings as unknown as Env);

export const LOW_BALANCE: Notice = { kind: 'balance.low', balanceNanoUsd: usd(1), belowNanoUsd: usd(2) };

/** Settings of a production installation without any mail service. */
export const WITHOUT_MAIL = { MAIL_FROM: undefined, ENVIRONMENT: 'production' };

export interface SentEmail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** The Worker's environment with an inspectable task queue and mail service. */
export class TaskHarness {
  readonly tasks: Task[] = [];
  readonly emails: SentEmail[] = [];
  /** While set, sending an e-mail throws it. */
  emailFault: Error | null = null;
  readonly env: Env;

  constructor(over: Record<string, unknown> = {}) {
    const send = async (task: Task) => {
      checkMessage(task);
      this.tasks.push(task);
    };
    const sendBatch = async (messages: { body: Task }[]) => {
      checkBatch(messages);
      this.tasks.push(...messages.map(({ body }) => body));
    };
    const sendEmail = async (email: SentEmail) => {
      if (this.emailFault) throw this.emailFault;
      this.emails.push(email);
      return { messageId: 'm' };
    };
    this.env = {
      ...(bindings as unknown as Env),
      TASKS: { send, sendBatch },
      EMAIL: { send: sendEmail },
      MAIL_FROM: 'notices@tollgate.test',
      ...over,
    } as unknown as Env;
  }

  /** Delivers bodies to the consumer as one batch. @returns per message `ack`, or the seconds until it is retried */
  async consume(
    bodies: readonly unknown[],
    { name = 'tollgate-tasks', attempts = 1 } = {},
  ): Promise<('ack' | number)[]> {
    // the test plugin's createMessageBatch() does not record the delay of a retry
    const outcomes = new Map<string, 'ack' | number>();
    const messages = bodies.map((body, i) => ({
      id: `m${i}`,
      timestamp: new Date(),
      attempts,
      body,
      ack: () => void outcomes.set(`m${i}`, 'ack'),
      retry: ({ delaySeconds = 0 } = {}) => void outcomes.set(`m${i}`, delaySeconds),
    }));
    await queue({ queue: name, messages } as unknown as MessageBatch, this.env);
    return messages.map(({ id }) => {
      const outcome = outcomes.get(id);
      if (outcome === undefined) throw new Error(`${id} was neither acknowledged nor retried`);
      return outcome;
    });
  }

  /** Delivers everything in the queue, and the tasks that this adds, until the queue is empty. */
  async drain(): Promise<('ack' | number)[]> {
    const outcomes: ('ack' | number)[] = [];
    while (this.tasks.length > 0) outcomes.push(...(await this.consume(this.tasks.splice(0))));
    return outcomes;
  }

  async endpoint(
    accountId: string,
    url = receiverUrl(),
  ): Promise<{ id: string; url: string; secret: string }> {
    const added = await addEndpoint(this.env, { accountId, url, nowMs: Date.now() });
    if (!added.ok) throw new Error(added.fault);
    const id = await this.env.DB.prepare('SELECT id FROM webhook_endpoint WHERE account_id = ? AND url = ?')
      .bind(accountId, added.url)
      .first<string>('id');
    return { id: id!, url: added.url, secret: added.secret };
  }
}

/** A webhook URL that no other test uses. */
export function receiverUrl(): string {
  return `https://hooks.example.com/${crypto.randomUUID()}`;
}

/** Creates an account with members. @param people their e-mail addresses by role @returns the account's id */
export async function newAccount(people: Partial<Record<'owner' | 'billing' | 'developer', string>> = {}) {
  const accountId = newId('acct', Date.now());
  const owner = await newPerson(people.owner ?? `${crypto.randomUUID()}@example.com`);
  await insertAccount(db, { accountId, ownerId: owner, name: 'Test', nowMs: Date.now() });
  for (const role of ['billing', 'developer'] as const) {
    const email = people[role];
    if (email !== undefined) await addMember(accountId, role, email);
  }
  return accountId;
}

export async function addMember(accountId: string, role: 'billing' | 'developer', email: string) {
  await run('INSERT INTO member (account_id, person_id, role) VALUES (?, ?, ?)', [
    accountId,
    await newPerson(email),
    role,
  ]);
}

async function newPerson(email: string): Promise<string> {
  const id = crypto.randomUUID();
  await run(
    'INSERT INTO person (id, name, email, email_verified, created_at, updated_at) VALUES (?, ?, ?, 1, 1, 1)',
    [id, 'Test', email],
  );
  return id;
}

function run(sql: string, values: unknown[]) {
  return (bindings as unknown as Env).DB.prepare(sql)
    .bind(...values)
    .run();
}

export interface LogRow {
  readonly id: string;
  readonly channel: string;
  readonly target: string;
  readonly state: string;
  readonly attempts: number;
  readonly last_status: number | null;
  readonly last_fault: string | null;
  readonly next_at_ms: number | null;
}

/** The rows of the account's delivery log. */
export async function logOf(accountId: string): Promise<LogRow[]> {
  const { results } = await (bindings as unknown as Env).DB.prepare(
    'SELECT * FROM notice_delivery WHERE account_id = ? ORDER BY channel, target',
  )
    .bind(accountId)
    .all<LogRow>();
  return results;
}

/** Makes the next attempt of each delivery due. */
export function letTimePass(accountId: string) {
  return run('UPDATE notice_delivery SET next_at_ms = 1 WHERE account_id = ? AND next_at_ms IS NOT NULL', [
    accountId,
  ]);
}
