/** Notices: what an account is told of by e-mail and webhook. Each carries its facts, never content. */
import type { CapPeriod } from './limits.ts';
import type { NanoUsd } from './money.ts';

export type Notice =
  /** the ledger balance fell below the level that its account watches */
  | { kind: 'balance.low'; balanceNanoUsd: NanoUsd; belowNanoUsd: NanoUsd }
  /** so much of a cap is posted; `keyId` null: the cap of the whole account */
  | {
      kind: 'cap.used';
      keyId: string | null;
      percent: number;
      spentNanoUsd: NanoUsd;
      capNanoUsd: NanoUsd;
      capPeriod: CapPeriod;
    }
  | { kind: 'recharge.paid'; orderId: string; amountNanoUsd: NanoUsd }
  /** the bank refused, so recharge is off until its owner turns it on again */
  | { kind: 'recharge.declined'; orderId: string; amountNanoUsd: NanoUsd; why: string }
  /** another recharge would pass the month's maximum: none until the month ends */
  | { kind: 'recharge.monthly_max'; rechargedNanoUsd: NanoUsd; monthlyMaxNanoUsd: NanoUsd }
  /** somebody asked for it, to see whether their receiver works; to that endpoint only */
  | { kind: 'endpoint.test'; endpointId: string };

/** A notice on its way: the id is made once, where the notice arises, so telling it again is safe. */
export interface Notification {
  /** `note_…` */
  readonly id: string;
  readonly accountId: string;
  readonly atMs: number;
  readonly notice: Notice;
}
