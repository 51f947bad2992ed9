/** Work that is done behind a request, through the queue: at least once each, so every task is safe to repeat. */

import type { AccountEmail } from './account-email.ts';

export type Task =
  /** fan a notice out to everybody whom its account wants told */
  | { kind: 'notify'; noticeId: string }
  /** one attempt to bring a notice to one address */
  | { kind: 'deliver'; deliveryId: string }
  /** the balance fell below the level at which the saved card is charged */
  | { kind: 'recharge'; accountId: string }
  /** a node that gets no customer yet is tried */
  | { kind: 'canary'; nodeId: string }
  /** one letter to one person; what it links to is a secret, so it goes into no log */
  | { kind: 'letter'; letterId: string; to: string; locale: 'en' | 'fr'; post: AccountEmail };
