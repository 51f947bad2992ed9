/**
 * E-mails to one person about something that they, or a member of their team, just did. E-mails about an account's
 * balance and limits are notices (notice.ts).
 */
import type { NanoUsd } from './money.ts';

export type AccountEmail =
  /** The link proves that the address belongs to the person. */
  | { kind: 'verify'; url: string }
  /** The link signs in whoever opens it, and works once. */
  | { kind: 'sign_in'; url: string }
  | { kind: 'reset'; url: string }
  /** Its page names the sender: an e-mail holds nothing that a sender could write, but the account's name made safe. */
  | { kind: 'invitation'; url: string; role: string; accountName: string }
  /** The way this person signs in was changed. The e-mail warns them in case the change was not theirs. */
  | {
      kind: 'sign_in_changed';
      what:
        | 'password'
        | 'second_factor_on'
        | 'second_factor_off'
        /** new backup codes replaced the old ones */
        | 'backup_codes'
        /** an operator turned the second factor off for a person who had lost it */
        | 'second_factor_reset';
      url: string;
    }
  | { kind: 'receipt'; url: string; invoice: string; amountNanoUsd: NanoUsd };

export type AccountEmailKind = AccountEmail['kind'];

/**
 * Whether an e-mail goes only to a confirmed address. Anyone can sign up with a stranger's: until it is confirmed, it gets
 * nothing but what its owner needs to confirm it, to sign in or to join a team.
 */
const CONFIRMED_ONLY = {
  verify: false,
  sign_in: false,
  reset: false,
  invitation: false,
  sign_in_changed: true,
  receipt: true,
} as const satisfies Record<AccountEmailKind, boolean>;

export function needsConfirmedAddress({ kind }: AccountEmail): boolean {
  return CONFIRMED_ONLY[kind];
}
