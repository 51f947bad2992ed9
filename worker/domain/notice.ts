/** Notices that an account gets by e-mail and webhook. Each carries facts, never the content of requests. */
import type { CapPeriod } from './limits.ts';
import type { NanoUsd } from './money.ts';
import type { MemberRole } from './team.ts';

/** Both amounts are for the account's own last seven days. */
interface ModelEndFacts {
  modelId: string;
  endsAtMs: number;
  /** null: none is recommended. */
  successorId: string | null;
  /** Charged for the model. */
  weekNanoUsd: NanoUsd;
  /** The same tokens at the successor's standard prices; null: it has none. */
  successorWeekNanoUsd: NanoUsd | null;
}

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
  /** The sale of a model that the account uses will end, or has ended. */
  | ({ kind: 'model.ending' } & ModelEndFacts)
  | ({ kind: 'model.ended' } & ModelEndFacts)
  /** The model stays on sale: its announced end was withdrawn. */
  | { kind: 'model.end_withdrawn'; modelId: string; endsAtMs: number }
  /** A test that a user requested to check their receiver; it goes to that endpoint only. */
  | { kind: 'endpoint.test'; endpointId: string };

/** The roles that get e-mails about money. */
export const PAYING_ROLES: readonly MemberRole[] = ['owner', 'billing'];

/** The roles that get a notice by e-mail: the end of a model concerns those, too, who write code for it. */
export function rolesToldOf({ kind }: Notice): readonly MemberRole[] {
  return kind.startsWith('model.') ? [...PAYING_ROLES, 'developer'] : PAYING_ROLES;
}

/** Whether a notice comes by e-mail even where the account has chosen none: no one else can say when a model ends. */
export function isAlwaysMailed({ kind }: Notice): boolean {
  return kind.startsWith('model.');
}

/** A notice with its id. The id is made once, where the notice arises, so publishing it again is safe. */
export interface Notification {
  /** `note_…` */
  readonly id: string;
  readonly accountId: string;
  readonly atMs: number;
  readonly notice: Notice;
}
