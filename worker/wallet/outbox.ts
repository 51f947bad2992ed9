/**
 * Publishes what a Wallet recorded, in the order in which it happened: everything goes to D1 first, then the tasks that
 * follow from it go to the queue.
 */
import { database } from '../db/client.ts';
import { project } from '../db/projection.ts';
import type { FindArchived } from '../db/projection-receipts.ts';
import type { Entry } from '../domain/ledger.ts';
import type { NanoUsd } from '../domain/money.ts';
import type { NumberedItem, OutboxItem, UsageRecord } from '../domain/outbox.ts';
import type { Task } from '../domain/task.ts';
import type { RequestRecord } from '../domain/wallet.ts';
import type { Env } from '../env.ts';
import { describeError } from '../lib/describe-error.ts';
import { sendAll } from '../lib/send-all.ts';
import type { LedgerStore } from './ledger-store.ts';
import type { OutboxStore } from './outbox-store.ts';
import type { RequestStore, UnpublishedReceipt, UnpublishedRequest } from './request-store.ts';
import {
  grantedOf,
  positionsOf,
  recordOf,
  type SettlementGroup,
  type SettlementGroups,
} from './settlement-groups.ts';

/** Rows read at a time. A settlement group is one row that stands for many requests. */
const ITEMS_MAX = 50;
/** Requests in one D1 batch: D1 is one database for all accounts, and a longer batch keeps the others waiting. */
const REQUESTS_MAX = 2_000;

interface Charged {
  readonly accountId: string;
  /** null: it cost nothing */
  readonly entry: Entry | null;
}

/**
 * An item as the outbox stores it. Besides items in their published form there are two short forms: a request with its
 * charge (`settled`, which only earlier versions stored), and a settlement group by its time (`page`, after its SQL table),
 * which is read when it is published.
 */
export type Published =
  | OutboxItem
  | (Charged & { readonly kind: 'settled'; readonly request: UsageRecord })
  | (Charged & { readonly kind: 'page'; readonly atMs: number });

export interface OutboxDeps {
  readonly accountId: () => string;
  readonly outboxStore: OutboxStore;
  readonly requestStore: RequestStore;
  readonly ledgerStore: LedgerStore;
  readonly groups: SettlementGroups;
  /** How long a charge waits for its receipt. */
  readonly graceMs: () => number;
  /** Runs work as one transaction. */
  readonly commit: (work: () => void) => void;
}

/**
 * Publishes until the outbox is empty. A row leaves the outbox once all of its items have arrived, so an item may arrive
 * twice. Rows without a task for the queue leave as soon as D1 has them.
 */
export async function emptyOutbox(env: Env, deps: OutboxDeps): Promise<void> {
  const { accountId, outboxStore, requestStore, commit } = deps;
  for (;;) {
    const items = nextItems(deps);
    if (items.length === 0) return;
    const lastSeq = Math.max(...items.map(({ seq }) => seq));
    requestStore.begin(lastSeq);
    await project(database(env), accountId(), items, (which) => findArchived(env, which));
    requestStore.published(lastSeq);
    const forQueue = items.filter(({ item }) => taskOf(item) !== null);
    const done = items.filter((each) => !forQueue.includes(each));
    commit(() => outboxStore.dequeue(done.map(({ seq }) => seq)));
    if (forQueue.length === 0) continue;
    await sendAll(
      env.TASKS,
      forQueue.map(({ item }) => taskOf(item)!),
    );
    commit(() => outboxStore.dequeue(forQueue.map(({ seq }) => seq)));
  }
}

/** Loaded only for a receipt that comes months late: no request needs it. A part that cannot be read holds up nothing. */
async function findArchived(env: Env, which: Parameters<FindArchived>[0]): ReturnType<FindArchived> {
  const { findArchivedRequest } = await import('../archive/requests.ts');
  return findArchivedRequest(env, which).catch((error: unknown) => {
    console.error(JSON.stringify({ event: 'archive_unreadable', error: describeError(error) }));
    return null;
  });
}

/** The items with the least numbers, from the rows of the outbox and the requests that have ended. */
function nextItems(deps: OutboxDeps): NumberedItem[] {
  const { outboxStore, requestStore, groups } = deps;
  const rows = outboxStore.items(ITEMS_MAX).map(({ seq, item }) => ({
    seq,
    read: () => inFull(JSON.parse(item) as Published | LegacyUsage, groups),
  }));
  const ended = requestStore.unpublished().map((request) => ({
    seq: request.outboxSeq,
    read: () => itemsOf(deps, request),
  }));
  const receipts = requestStore.unpublishedReceipts().map((receipt) => ({
    seq: receipt.outboxSeq,
    read: () => [receiptOf(deps, receipt)],
  }));
  const items: NumberedItem[] = [];
  let requests = 0;
  for (const { seq, read } of [...rows, ...ended, ...receipts]
    .sort((a, b) => a.seq - b.seq)
    .slice(0, ITEMS_MAX)) {
    if (requests >= REQUESTS_MAX) break;
    for (const item of read()) {
      items.push({ seq, item });
      if (item.kind === 'usage') requests += item.requests.length;
    }
  }
  return items;
}

/** A request that has ended, with its entry, and with its receipt if that has come. */
function itemsOf(
  deps: OutboxDeps,
  { record, grantedNanoUsd, receiptAtMs }: UnpublishedRequest,
): OutboxItem[] {
  const accountId = deps.accountId();
  const entry = record.entrySeq === null ? null : deps.ledgerStore.entry(record.entrySeq);
  const items = withEntry({ accountId, entry }, [{ ...record, grantedNanoUsd }]);
  return receiptAtMs === null ? items : [...items, receiptOf(deps, { record, receiptAtMs })];
}

function receiptOf(
  { accountId, graceMs }: OutboxDeps,
  { record, receiptAtMs }: Pick<UnpublishedReceipt, 'record' | 'receiptAtMs'>,
): OutboxItem {
  const { requestId, nodeId, endedAtMs, usage } = record;
  return {
    kind: 'witnessed',
    accountId: accountId(),
    nodeId: nodeId!,
    receivedAtMs: receiptAtMs,
    receipts: 1,
    promptTokens: usage.promptTokens,
    completionTokens: usage.completionTokens,
    newestEndedAtMs: endedAtMs!,
    late: receiptAtMs - endedAtMs! > graceMs() ? [requestId] : [],
  };
}

/** Usage as older versions stored it, one request an item. Outboxes that were filled then may still hold it. */
type LegacyUsage = { kind: 'usage'; accountId: string; request: RequestRecord; grantedNanoUsd: NanoUsd };

/** @throws Error for a kind that only another version knows: after a rollback such an item waits, so it is not lost */
function inFull(item: Published | LegacyUsage, groups: SettlementGroups): OutboxItem[] {
  switch (item.kind) {
    case 'settled':
      return withEntry(item, [item.request]);
    case 'page':
      return withEntry(item, requestsOf(groups.at(item.atMs)));
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

function requestsOf(group: SettlementGroup): UsageRecord[] {
  return positionsOf(group).map((position) => ({
    ...recordOf(position),
    grantedNanoUsd: grantedOf(position),
  }));
}

function taskOf(item: OutboxItem): Task | null {
  if (item.kind === 'notice') return { kind: 'notify', noticeId: item.notification.id };
  if (item.kind === 'recharge') return { kind: 'recharge', accountId: item.accountId };
  return null;
}
