/** Settings of the simulated edge. Deadlines are shorter than in production, so that an orphaned hold ends within minutes. */

export const SETTINGS = {
  PUBLIC_ORIGIN: 'https://edge.test',
  ENVIRONMENT: 'development',
  AUTH_SECRET: 'simulated-auth-secret-0123456789',
  KEY_PEPPER: 'simulated-key-pepper-0123456789',
  EDGE_SIGNING_KEY: JSON.stringify({
    kty: 'OKP',
    crv: 'Ed25519',
    x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
    d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
  }),
  OPERATOR_TOKEN: 'simulated-operator-token-0123456789',
  SANDBOX_WEBHOOK_SECRET: 'simulated-webhook-secret-0123456789',
  TRIAL_GRANT_NANO_USD: '0',
  HOLD_LEASE_MS: '40000',
  // there are few simulated customers, so a key counts as busy with requests seconds apart
  LEASE_BUSY_MS: '15000',
  RECEIPT_GRACE_MS: '60000',
  // Entries are folded while requests still run, so that laws see ledgers with openings.
  LEDGER_FOLD_AFTER_MS: '10000',
  FIRST_TOKEN_DEADLINE_MS: '30000',
  IDLE_DEADLINE_MS: '15000',
} as const;
export const LEASE_MS = Number(SETTINGS.HOLD_LEASE_MS);
export const GRACE_MS = Number(SETTINGS.RECEIPT_GRACE_MS);
