/** What a Wallet tells others, in the order in which it happened: D1 first, then the queue for what somebody must do. */
import { database } from '../db/client.ts';
import { project } from '../db/projection.ts';
import type { Entry } from '../domain/ledger.ts';
import type { NanoUsd } from '../domain/money.ts';
import type { OutboxItem, UsageRecord } from '../domain/outbox.ts';
import type { Task } from '../domain/task.ts';
import type { RequestRecord } from '../domain/wallet.ts';
import type { Env } from '../env.ts';
import {
  grantedOf,
  positionsOf,
  recordOf,
  type SettlementGroup,
  type SettlementGroups,
} from './settlement-groups.ts';
import type { WalletStore } from './store.ts';

/** One look at the outbox; a page is an item of many requests. */
const ITEMS_MAX = 50;
/** Of one batch: a D1 that is busy for longer keeps all others waiting. */
const REQUESTS_MAX = 2_000;

interface Charged {
  readonly accountId: string;
  /** null: it cost nothing */
  readonly entry: Entry | null;
}

/** What waits in an outbox: items as D1 hears of them, a request with its charge, and pages, which are read when it does. */
export type Published =
  | OutboxItem
  | (Charged & { readonly kind: 'settled'; readonly request: UsageRecord })
  | (Charged & { readonly kind: 'page'; readonly atMs: number });

interface Numbered {
  readonly seq: number;
  readonly item: OutboxItem;
}

/**
 * Delivers until nothing is left. An item leaves the outbox when all it says has arrived, so it may be told twice. What
 * only D1 had to know does not wait for the queue.
 */
export async function emptyOutbox(
  env: Env,
  { store, pages }: { store: WalletStore; pages: SettlementGroups },
): Promise<void> {
  for (;;) {
    const rows = nextItems(store, pages);
    if (rows.length === 0) return;
    await project(database(env), store.accountId(), rows);
    const forQueue = rows.filter(({ item }) => taskOf(item) !== null);
    store.dequeue(rows.filter((row) => !forQueue.includes(row)).map(({ seq }) => seq));
    if (forQueue.length === 0) continue;
    await env.TASKS.sendBatch(forQueue.map(({ item }) => ({ body: taskOf(item)! })));
    store.dequeue(forQueue.map(({ seq }) => seq));
  }
}

function nextItems(store: WalletStore, pages: SettlementGroups): Numbered[] {
  const items: Numbered[] = [];
  let requests = 0;
  for (const { seq, item } of store.outbox(ITEMS_MAX)) {
    if (requests >= REQUESTS_MAX) break;
    for (const each of inFull(JSON.parse(item) as Published | LegacyUsage, pages)) {
      items.push({ seq, item: each });
      if (each.kind === 'usage') requests += each.requests.length;
    }
  }
  return items;
}

/** As outboxes have it that were filled before requests were told together. */
type LegacyUsage = { kind: 'usage'; accountId: string; request: RequestRecord; grantedNanoUsd: NanoUsd };

/** @throws Error when only another version knows such an item: after a rollback it waits, and is not lost */
function inFull(item: Published | LegacyUsage, pages: SettlementGroups): OutboxItem[] {
  switch (item.kind) {
    case 'settled':
      return withEntry(item, [item.request]);
    case 'page':
      return withEntry(item, requestsOf(pages.page(item.atMs)));
    case 'usage': {
      if ('requests' in item) return [item];
      const { kind, accountId, request, grantedNanoUsd } = item;
      return [{ kind, accountId, requests: [{ ...request, grantedNanoUsd }] }];
    }
    case 'entry':
    case 'witnessed':
    case 'receipt':
    case 'drift':
    case 'notice':
    case 'recharge':
      return [item];
    default:
      throw new Error(`no item of this version: ${(item satisfies never as { kind: string }).kind}`);
  }
}

function withEntry({ accountId, entry }: Charged, requests: UsageRecord[]): OutboxItem[] {
  const usage: OutboxItem = { kind: 'usage', accountId, requests };
  return entry === null ? [usage] : [{ kind: 'entry', accountId, entry }, usage];
}

function requestsOf(page: SettlementGroup): UsageRecord[] {
  return positionsOf(page).map((place) => ({ ...recordOf(place), grantedNanoUsd: grantedOf(place) }));
}

function taskOf(item: OutboxItem): Task | null {
  if (item.kind === 'notice') return { kind: 'notify', noticeId: item.notification.id };
  if (item.kind === 'recharge') return { kind: 'recharge', accountId: item.accountId };
  return null;
}
