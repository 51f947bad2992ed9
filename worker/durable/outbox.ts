/** What a Wallet tells others, in the order in which it happened: D1 first, then the queue for what somebody must do. */
import { database } from '../db/client.ts';
import { type OutboxItem, project } from '../db/projection.ts';
import type { Task } from '../domain/task.ts';
import type { Env } from '../env.ts';
import type { WalletStore } from './wallet-store.ts';

/** Three statements an item at most keep a batch well under D1's limits. */
const ITEMS_MAX = 50;

/** Delivers until nothing is left. An item leaves the outbox when all it says has arrived, so it may be told twice. */
export async function emptyOutbox(env: Env, store: WalletStore): Promise<void> {
  for (;;) {
    const rows = store.outbox(ITEMS_MAX);
    if (rows.length === 0) return;
    const items = rows.map(({ item }) => JSON.parse(item) as OutboxItem);
    await project(database(env), items);
    const tasks = items.flatMap(tasksOf);
    if (tasks.length > 0) await env.TASKS.sendBatch(tasks.map((body) => ({ body })));
    store.dequeue(rows.at(-1)!.seq);
  }
}

function tasksOf(item: OutboxItem): Task[] {
  if (item.kind === 'notice') return [{ kind: 'notify', noticeId: item.notification.id }];
  if (item.kind === 'recharge') return [{ kind: 'recharge', accountId: item.accountId }];
  return [];
}
