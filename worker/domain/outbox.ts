import type { Entry } from './ledger.ts';
import type { NanoUsd } from './money.ts';
import type { Notification } from './notice.ts';
import type { DriftKind, WriteOff } from './reconciliation.ts';
import type { RequestRecord, WalletReceipt } from './wallet.ts';

/** A request as it ended, and what of its charge granted credit paid. */
export interface UsageRecord extends RequestRecord {
  readonly grantedNanoUsd: NanoUsd;
}
export type OutboxItem =
  /** all ended requests of one settlement; alike in nothing but the account */
  | { kind: 'usage'; accountId: string; requests: readonly UsageRecord[] }
  | { kind: 'entry'; accountId: string; entry: Entry }
  /** receipts of one node that say what was billed: nothing to look at, so they are counted and have no rows */
  | {
      kind: 'witnessed';
      accountId: string;
      nodeId: string;
      receivedAtMs: number;
      receipts: number;
      promptTokens: number;
      completionTokens: number;
      newestEndedAtMs: number;
      /** requests whose absence had been alerted of */
      late: readonly string[];
    }
  /** a receipt that says something else, or of a request that the Wallet does not know (any more): a row each */
  | {
      kind: 'receipt';
      accountId: string;
      receivedAtMs: number;
      receipt: WalletReceipt;
      /** null: the Wallet does not know the request (any more) */
      writeOff: WriteOff | null;
      /** it came after its absence had been alerted of */
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
  /** for the queue alone */
  | { kind: 'recharge'; accountId: string };
export type OutboxItemOf<K extends OutboxItem['kind']> = Extract<OutboxItem, { kind: K }>;
export interface NumberedItem {
  /** rises along an account's outbox and is never used again; items of one number are told together */
  readonly seq: number;
  readonly item: OutboxItem;
}
