/**
 * Background tasks, as JSON messages of the queue. Each runs at least once, so every task is safe to repeat. Messages may
 * be in the queue during a deployment, so kinds and fields keep their names: an e-mail's are `letter`, `letterId`, `post`.
 */
import type { AccountEmail } from './account-email.ts';

export type Task =
  /** Creates a delivery for each address and endpoint that the account wants notified. */
  | { kind: 'notify'; noticeId: string }
  /** Makes one attempt to deliver a notice to one address or endpoint. */
  | { kind: 'deliver'; deliveryId: string }
  /** Charges the saved card: the balance fell below the recharge threshold. */
  | { kind: 'recharge'; accountId: string }
  /** Runs a canary attempt at a node that gets no customers' requests yet. */
  | { kind: 'canary'; nodeId: string }
  /** Sends one e-mail to one person. Its link is a secret, so the task is never logged. */
  | { kind: 'letter'; letterId: string; to: string; locale: 'en' | 'fr'; post: AccountEmail };
