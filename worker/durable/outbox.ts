/** What a Wallet tells others, in the order in which it happened: D1 first, then the queue for what somebody must do. */
import { database } from '../db/client.ts';
import { type OutboxItem, project } from '../db/projection.ts';
import type { Task } from '../domain/task.ts';
import type { Env } from '../env.ts';
import type { WalletStore } from './wallet-store.ts';

/** Three statements an item at most keep a batch well under D1's limits. */
const ITEMS_MAX = 50;

/**
 * Delivers until nothing is left. An item leaves the outbox when all it says has arrived, so it may be told twice. What
 * only D1 had to know does not wait for the queue.
 */
export async function emptyOutbox(env: Env, store: WalletStore): Promise<void> {
  for (;;) {
    const rows = store
      .outbox(ITEMS_MAX)
      .map(({ seq, item }) => ({ seq, item: JSON.parse(item) as OutboxItem }));
    if (rows.length === 0) return;
    await project(
      database(env),
      rows.map(({ item }) => item),
    );
    const forQueue = rows.filter(({ item }) => taskOf(item) !== null);
    store.dequeue(rows.filter((row) => !forQueue.includes(row)).map(({ seq }) => seq));
    if (forQueue.length === 0) continue;
    await env.TASKS.sendBatch(forQueue.map(({ item }) => ({ body: taskOf(item)! })));
    store.dequeue(forQueue.map(({ seq }) => seq));
  }
}

function taskOf(item: OutboxItem): Task | null {
  if (item.kind === 'notice') return { kind: 'notify', noticeId: item.notification.id };
  if (item.kind === 'recharge') return { kind: 'recharge', accountId: item.accountId };
  return null;
}
