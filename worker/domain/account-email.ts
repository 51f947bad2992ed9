/** Letters to one person about what they, or somebody of their team, just did. Notices of an account are domain/notice.ts. */
import type { NanoUsd } from './money.ts';

export type AccountEmail =
  /** shows that the address is theirs */
  | { kind: 'verify'; url: string }
  /** signs in whoever opens it, once */
  | { kind: 'sign_in'; url: string }
  | { kind: 'reset'; url: string }
  | { kind: 'invitation'; url: string; role: string; accountName: string; invitedBy: string }
  /** somebody changed how this person signs in: they are told, in case it was not them */
  | { kind: 'sign_in_changed'; what: 'password' | 'second_factor_on' | 'second_factor_off'; url: string }
  | { kind: 'receipt'; url: string; invoice: string; amountNanoUsd: NanoUsd };

export type AccountEmailKind = AccountEmail['kind'];
