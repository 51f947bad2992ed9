/** Settings of an edge in front of a real engine: free credit, and leases so short that everything is settled within seconds. */
export const QUICK_SETTINGS = {
  TRIAL_GRANT_NANO_USD: '50000000000',
  TRIAL_DAILY_NANO_USD: '500000000000',
  HOLD_LEASE_MS: '4000',
  RECEIPT_GRACE_MS: '15000',
  LEASE_BUSY_MS: '0',
};
