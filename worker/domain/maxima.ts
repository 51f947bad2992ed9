/**
 * The most that an account can have of what is free, so that nothing grows without end. How fast it can be made is
 * limited by the rules of rate-limit.ts.
 */

export interface Maximum {
  /** The things in words, for docs/limits.md. */
  readonly counts: string;
  readonly count: number;
}

export const MAXIMA = {
  /** A platform gives each of its customers a key; the Wallet keeps the spend of each. */
  active_keys: { counts: 'API keys that are neither revoked nor expired', count: 500 },
  /** Revoked keys stay, so that old usage keeps its name: ten years of 500 keys that are rotated four times a year. */
  keys: { counts: 'API keys ever made', count: 20_000 },
  members: { counts: 'members', count: 100 },
  /** All of them are listed on the team page. */
  open_invitations: { counts: 'open invitations', count: 25 },
  /** Every request carries them, in the record of its key; agents ask for a handful of names. */
  model_aliases: { counts: 'aliases of models', count: 50 },
  /** Each notice is a request to every one of them. */
  webhook_endpoints: { counts: 'webhook endpoints', count: 5 },
  /** R2 is cheap but not free; a startup's batches of a month fit many times over. */
  files: { counts: 'stored files', count: 1_000 },
  file_bytes: { counts: 'bytes in stored files', count: 10 * 1024 ** 3 },
  /** Each polls the pool every two seconds, and more of them would not finish sooner. */
  unfinished_batches: { counts: 'unfinished batches', count: 20 },
} as const satisfies Record<string, Maximum>;
