/** The limits of an account and of its keys, with their current use as the Wallet counts it. */
import type { AccountRow } from '../../db/accounts.ts';
import type { ApiKeyRow } from '../../db/keys.ts';
import type { CapPeriod, Load } from '../../domain/limits.ts';
import { describeError } from '../../lib/describe-error.ts';
import { type PortalContext, words } from '../frame/context.ts';

export interface LimitGauge {
  readonly name: string;
  readonly limits: Pick<
    AccountRow,
    'requestsPerMinute' | 'tokensPerMinute' | 'concurrency' | 'capNanoUsd' | 'capPeriod'
  >;
  /** null: the Wallet did not answer */
  readonly load: Load | null;
}

/** The account's gauge first, then those of the keys in the given order. */
export function readGauges(
  c: PortalContext,
  account: AccountRow,
  keys: readonly ApiKeyRow[],
): Promise<LimitGauge[]> {
  const rows = [
    { keyId: null, lineageId: null, name: words(c).t.alerts.account, limits: account },
    ...keys.map((key) => ({ keyId: key.id, lineageId: key.lineageId, name: key.name, limits: key })),
  ];
  return Promise.all(
    rows.map(async ({ keyId, lineageId, name, limits }) => ({
      name,
      limits,
      load: await loadOf(c, { keyId, capPeriod: limits.capPeriod, lineageId }),
    })),
  );
}

async function loadOf(
  c: PortalContext,
  which: { keyId: string | null; capPeriod: CapPeriod; lineageId: string | null },
): Promise<Load | null> {
  try {
    return await c.env.WALLET.getByName(c.get('accountId')).load(which);
  } catch (error) {
    // the rest of the page is useful without the load
    console.error(JSON.stringify({ event: 'load_failed', keyId: which.keyId, error: describeError(error) }));
    return null;
  }
}
