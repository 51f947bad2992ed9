/** An account with people to tell, a queue whose messages the test hands on, and a mail service that keeps its letters. */
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

export const db = database(bindings as unknown as Env);

export const LOW: Notice = { kind: 'balance.low', balanceNanoUsd: usd(1), belowNanoUsd: usd(2) };

/** A production installation in which nothing is set up that could send e-mail. */
export const WITHOUT_MAIL = { MAIL_FROM: undefined, ENVIRONMENT: 'production' };

export interface Sent {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** The Worker's environment with a queue and a mail service that can be looked into. */
export class Desk {
  readonly tasks: Task[] = [];
  readonly letters: Sent[] = [];
  /** thrown instead of sending, while set */
  mailFault: Error | null = null;
  readonly env: Env;

  constructor(over: Record<string, unknown> = {}) {
    const send = async (task: Task) => void this.tasks.push(task);
    const sendBatch = async (messages: { body: Task }[]) =>
      void this.tasks.push(...messages.map(({ body }) => body));
    const mail = async (letter: Sent) => {
      if (this.mailFault) throw this.mailFault;
      this.letters.push(letter);
      return { messageId: 'm' };
    };
    this.env = {
      ...(bindings as unknown as Env),
      TASKS: { send, sendBatch },
      EMAIL: { send: mail },
      MAIL_FROM: 'notices@tollgate.test',
      ...over,
    } as unknown as Env;
  }

  /** Hands bodies to the consumer as one batch. @returns for each `ack`, or the seconds after which it comes again */
  async hand(
    bodies: readonly unknown[],
    { name = 'tollgate-tasks', attempts = 1 } = {},
  ): Promise<('ack' | number)[]> {
    // the plugin's createMessageBatch() forgets how long a message is to wait
    const answers = new Map<string, 'ack' | number>();
    const messages = bodies.map((body, i) => ({
      id: `m${i}`,
      timestamp: new Date(),
      attempts,
      body,
      ack: () => void answers.set(`m${i}`, 'ack'),
      retry: ({ delaySeconds = 0 } = {}) => void answers.set(`m${i}`, delaySeconds),
    }));
    await queue({ queue: name, messages } as unknown as MessageBatch, this.env);
    return messages.map(({ id }) => {
      const answer = answers.get(id);
      if (answer === undefined) throw new Error(`${id} was not answered for`);
      return answer;
    });
  }

  /** Hands over everything that is in the queue, and what that puts there, until it is empty. */
  async drain(): Promise<('ack' | number)[]> {
    const answers: ('ack' | number)[] = [];
    while (this.tasks.length > 0) answers.push(...(await this.hand(this.tasks.splice(0))));
    return answers;
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

/** An address that no other test has. */
export function receiverUrl(): string {
  return `https://hooks.example.com/${crypto.randomUUID()}`;
}

/** @returns the account's id; its people have the addresses that are given, by role */
export async function newAccount(people: Partial<Record<'owner' | 'billing' | 'developer', string>> = {}) {
  const accountId = newId('acct', Date.now());
  const owner = await newPerson(people.owner ?? `${crypto.randomUUID()}@example.com`);
  await insertAccount(db, { accountId, ownerId: owner, name: 'Test', nowMs: Date.now() });
  for (const role of ['billing', 'developer'] as const) {
    const email = people[role];
    if (email === undefined) continue;
    await run('INSERT INTO member (account_id, person_id, role) VALUES (?, ?, ?)', [
      accountId,
      await newPerson(email),
      role,
    ]);
  }
  return accountId;
}

async function newPerson(email: string): Promise<string> {
  const id = crypto.randomUUID();
  await run('INSERT INTO person (id, name, email, created_at, updated_at) VALUES (?, ?, ?, 1, 1)', [
    id,
    'Test',
    email,
  ]);
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

/** The account's delivery log as the database has it. */
export async function logOf(accountId: string): Promise<LogRow[]> {
  const { results } = await (bindings as unknown as Env).DB.prepare(
    'SELECT * FROM notice_delivery WHERE account_id = ? ORDER BY channel, target',
  )
    .bind(accountId)
    .all<LogRow>();
  return results;
}

/** Lets the time of the next attempt come. */
export function letTimePass(accountId: string) {
  return run('UPDATE notice_delivery SET next_at_ms = 1 WHERE account_id = ? AND next_at_ms IS NOT NULL', [
    accountId,
  ]);
}
