/**
 * Ids of grants. A Wallet gives each grant id once, so two features that chose the same id would block each other's
 * credit. Each feature therefore has its own prefix, which also keeps ids that people type apart from all others.
 */

/** Id of a new account's trial credit. */
export const TRIAL_GRANT_ID = 'trial';

/** @param code in upper case, as codes are compared */
export function promoGrantId(code: string): string {
  return `promo/${code}`;
}

/** @param name chosen by the operator, unique within the account */
export function operatorGrantId(name: string): string {
  return `operator/${name}`;
}
