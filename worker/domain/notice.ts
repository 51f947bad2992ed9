/** Notices that an account gets by e-mail and webhook. Each carries facts, never the content of requests. */
import type { CapPeriod } from './limits.ts';
import type { NanoUsd } from './money.ts';

export type Notice =
  /** The ledger balance fell below the account's alert threshold. */
  | { kind: 'balance.low'; balanceNanoUsd: NanoUsd; belowNanoUsd: NanoUsd }
  /** Spend reached `percent` of a cap; `keyId` null: the cap is the account's. */
  | {
      kind: 'cap.used';
      keyId: string | null;
      percent: number;
      spentNanoUsd: NanoUsd;
      capNanoUsd: NanoUsd;
      capPeriod: CapPeriod;
    }
  | { kind: 'recharge.paid'; orderId: string; amountNanoUsd: NanoUsd }
  /** The bank declined, so automatic recharge is off until the owner turns it on again. */
  | { kind: 'recharge.declined'; orderId: string; amountNanoUsd: NanoUsd; why: string }
  /** Another recharge would exceed the month's maximum, so there is none until the month ends. */
  | { kind: 'recharge.monthly_max'; rechargedNanoUsd: NanoUsd; monthlyMaxNanoUsd: NanoUsd }
  /** A test that a user requested to check their receiver; it goes to that endpoint only. */
  | { kind: 'endpoint.test'; endpointId: string };

/** A notice with its id. The id is made once, where the notice arises, so publishing it again is safe. */
export interface Notification {
  /** `note_…` */
  readonly id: string;
  readonly accountId: string;
  readonly atMs: number;
  readonly notice: Notice;
}
