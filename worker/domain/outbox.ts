/**
 * Items of a Wallet's outbox: changes that have yet to reach D1 and the queue. A Wallet stores items as JSON, so kinds
 * and fields keep their names.
 */
import type { Entry } from './ledger.ts';
import type { NanoUsd } from './money.ts';
import type { Notification } from './notice.ts';
import type { DriftKind, WriteOff } from './reconciliation.ts';
import type { RequestRecord, WalletReceipt } from './wallet.ts';

/** A request as it ended, and the part of its charge that granted credit paid. */
export interface UsageRecord extends RequestRecord {
  readonly grantedNanoUsd: NanoUsd;
}

export type OutboxItem =
  /** All requests that one settlement ended. They have only the account in common. */
  | { kind: 'usage'; accountId: string; requests: readonly UsageRecord[] }
  | { kind: 'entry'; accountId: string; entry: Entry }
  /**
   * Matched receipts: those of one node that agree with what was billed. They need no attention, so they are counted and
   * get no rows. `witnessed` is their stored name.
   */
  | {
      kind: 'witnessed';
      accountId: string;
      nodeId: string;
      receivedAtMs: number;
      receipts: number;
      promptTokens: number;
      completionTokens: number;
      newestEndedAtMs: number;
      /** Requests whose receipt an operator had been alerted to be missing. */
      late: readonly string[];
    }
  /** A receipt that differs from the bill, or whose request the Wallet does not know (any more). Each gets a row. */
  | {
      kind: 'receipt';
      accountId: string;
      receivedAtMs: number;
      receipt: WalletReceipt;
      /** Null: the Wallet does not know the request (any more). */
      writeOff: WriteOff | null;
      /** It came after an operator had been alerted that it was missing. */
      late: boolean;
    }
  | {
      kind: 'drift';
      accountId: string;
      drift: DriftKind;
      requestId: string;
      nodeId: string;
      detail: Record<string, string | number>;
      foundAtMs: number;
    }
  | { kind: 'notice'; notification: Notification }
  /** Goes to the queue only, never to D1. */
  | { kind: 'recharge'; accountId: string };

export type OutboxItemOf<K extends OutboxItem['kind']> = Extract<OutboxItem, { kind: K }>;

export interface NumberedItem {
  /** Rises along an account's outbox and is never reused; items of one number are published together. */
  readonly seq: number;
  readonly item: OutboxItem;
}
