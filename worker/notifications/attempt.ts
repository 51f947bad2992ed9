/** The outcome of one attempt to deliver a notice, for every channel alike. */

/** Standard Webhooks recommends 15 to 30 s; a receiver that needs longer should answer first and work later. */
export const ANSWER_WITHIN_MS = 15_000;

/** Why an attempt failed, in our own terms: the text of a receiver or a mail service is never shown. */
export const DELIVERY_FAULTS = [
  // webhooks
  'timeout',
  'unreachable',
  'redirect',
  'status',
  'gone',
  'endpoint_removed',
  'account_suspended',
  'address_refused',
  // e-mail
  'mail_not_configured',
  'mail_sender_refused',
  'mail_recipient_refused',
  'mail_refused',
  'mail_unavailable',
  'mail_limited',
  'mail_not_for_address',
  // either
  'given_up',
] as const;

export type DeliveryFault = (typeof DELIVERY_FAULTS)[number];

export type Attempt =
  | { ok: true; status: number | null }
  | {
      ok: false;
      /** HTTP status; null: no answer, or not HTTP */
      status: number | null;
      fault: DeliveryFault;
      /** false: no later attempt can succeed */
      retry: boolean;
      /** how long the receiver asked us to wait */
      retryAfterMs?: number;
    };
