/**
 * How long what is stored stays. Code that deletes takes its time from here, and the page /privacy shows this table, so
 * that what customers are told is what happens. Each row has its texts in worker/i18n/legal/.
 */

const DAY_MS = 86_400_000;

/** Days for which each kind of data is kept, counted from the event that its comment names. */
export const RETENTION_DAYS = {
  /**
   * Entries in a Wallet, from their posting; then they are folded into an opening entry, and D1 has them. D1 can be
   * restored to any minute of its last 30 days, and until then the Wallet's entries can repair it.
   */
  wallet_entry: 35,
  /**
   * Ended requests and ledger entries in D1, from the end of their month (UTC); then they move to the archive, which
   * keeps them. A quarter's bills can be examined line by line without waiting, and D1 stays small.
   */
  request_in_database: 90,
  /** Ended requests in a Wallet and answers to idempotent requests, from their end: clients retry within a day. */
  idempotent_answer: 1,
  /** Responses that clients let us store, from their end: as long as OpenAI keeps them, which its clients rely on. */
  stored_response: 30,
  /** Invitations, from their end by acceptance, revocation or time: long enough to answer "I never got one". */
  invitation: 30,
  /** Sessions and the hashes of e-mailed links and codes, from their expiry: they open nothing any more. */
  sign_in: 1,
  /**
   * Notices and their deliveries, from the notice: a season of alerts can be compared with the bills. Those of a model's end
   * stay until it has come: whoever has one is told of a withdrawal.
   */
  notice: 90,
  /** Ids of payment providers' events, from their receipt: providers send an event again for up to 30 days. */
  payment_event: 90,
  /** Orders that were never paid, from their creation: a bank transfer or a dispute may take weeks. */
  unpaid_order: 90,
  /** Details of audit rows, from the row; the fact stays: who did what, when, by ids. */
  audit_detail: 365,
  /**
   * Hashes of inboxes that had trial credit, from the day of the grant: after that long a new start is worth its credit.
   */
  trial_grant: 1_095,
  /** Join tokens of nodes, from their expiry. */
  join_token: 30,
  /** Single probes of the status page: "the last day" needs more than one. Their totals by day stay. */
  probe: 2,
  /** Names and addresses on issued invoices, from their issue: tax law asks for up to ten years of records. */
  invoice_buyer: 3_653,
  /** Customers' files, from their upload; customers may ask for less. */
  file: 30,
} as const satisfies Record<string, number>;

export type RetainedKind = keyof typeof RETENTION_DAYS;

export function retentionMs(kind: RetainedKind): number {
  return RETENTION_DAYS[kind] * DAY_MS;
}
