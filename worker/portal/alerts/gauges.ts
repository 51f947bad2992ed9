/** What the account and its keys have used of their limits, as their Wallet says it now. */
import type { AccountRow } from '../../db/accounts.ts';
import type { ApiKeyRow } from '../../db/keys.ts';
import type { CapPeriod, Load } from '../../domain/limits.ts';
import { describeError } from '../../lib/describe-error.ts';
import { type PortalContext, words } from '../frame/context.ts';

export interface Gauged {
  readonly name: string;
  readonly limits: Pick<
    AccountRow,
    'requestsPerMinute' | 'tokensPerMinute' | 'concurrency' | 'capNanoUsd' | 'capPeriod'
  >;
  /** null: the Wallet does not answer */
  readonly load: Load | null;
}

/** The account first, then the keys in their order. */
export function gauges(c: PortalContext, account: AccountRow, keys: readonly ApiKeyRow[]): Promise<Gauged[]> {
  const rows = [
    { keyId: null, name: words(c).t.alerts.account, limits: account },
    ...keys.map((key) => ({ keyId: key.id, name: key.name, limits: key })),
  ];
  return Promise.all(
    rows.map(async ({ keyId, name, limits }) => ({
      name,
      limits,
      load: await loadOf(c, { keyId, capPeriod: limits.capPeriod }),
    })),
  );
}

async function loadOf(
  c: PortalContext,
  of: { keyId: string | null; capPeriod: CapPeriod },
): Promise<Load | null> {
  try {
    return await c.env.WALLET.getByName(c.get('accountId')).load(of);
  } catch (error) {
    // the rest of the page is of use without it
    console.error(JSON.stringify({ event: 'load_failed', keyId: of.keyId, error: describeError(error) }));
    return null;
  }
}
