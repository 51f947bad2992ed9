/**
 * Ids of grants. A Wallet gives a grant of one id once, so two features that named theirs alike would keep each other's
 * credit from the customer: each has a space of its own, and what people type never leaves theirs.
 */

/** The credit of a new account. */
export const TRIAL_GRANT_ID = 'trial';

/** @param code as it is compared, upper case */
export function promoGrantId(code: string): string {
  return `promo/${code}`;
}

/** @param named by the operator, unique within the account */
export function operatorGrantId(named: string): string {
  return `operator/${named}`;
}
