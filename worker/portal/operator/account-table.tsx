/** A table of accounts: owner, balance and limits of each. */
import type { LimitedAccount } from '../../db/account-limits.ts';
import type { Balance } from '../../domain/wallet.ts';
import { describeError } from '../../lib/describe-error.ts';
import { Money } from '../components/money.tsx';
import { Heads, Sheet } from '../components/sheet.tsx';
import { type PortalContext, words } from '../frame/context.ts';

export async function AccountTable({
  c,
  label,
  accounts,
  why,
}: {
  c: PortalContext;
  label: string;
  accounts: readonly LimitedAccount[];
  /** the problem of each account, by account id; absent: the column is left out */
  why?: ReadonlyMap<string, string>;
}) {
  const { t, f } = words(c);
  const names = t.operator.accounts;
  const balances = await Promise.all(accounts.map(({ id }) => balanceOf(c, id)));
  return (
    <Sheet label={label}>
      <Heads
        names={[
          names.account,
          names.owner,
          ...(why ? [t.customers.why] : []),
          names.created,
          `#${names.available}`,
          `#${names.owed}`,
          `#${names.requestsPerMinute}`,
          `#${names.tokensPerMinute}`,
          `#${names.concurrency}`,
        ]}
      />
      <tbody>
        {accounts.map((account, index) => {
          const balance = balances[index];
          return (
            <tr>
              <th scope="row" class="font-mono font-normal">
                <a class="link" href={`/operator/accounts/${account.id}`}>
                  {account.id}
                </a>
              </th>
              <td>
                {account.email ?? '–'}
                {account.suspendedAtMs !== null && (
                  <span class="badge badge-sm badge-soft badge-error ms-2">{t.customers.suspended}</span>
                )}
              </td>
              {why && <td class="wraps">{why.get(account.id)}</td>}
              <td>{f.date(account.createdAtMs)}</td>
              <td class="num">{balance ? <Money c={c} amount={balance.availableNanoUsd} /> : '–'}</td>
              <td class="num">{balance ? <Money c={c} amount={balance.owedNanoUsd} /> : '–'}</td>
              <td class="num">{f.count(account.requestsPerMinute)}</td>
              <td class="num">
                {account.tokensPerMinute === null ? names.noLimit : f.count(account.tokensPerMinute)}
              </td>
              <td class="num">{f.count(account.concurrency)}</td>
            </tr>
          );
        })}
      </tbody>
    </Sheet>
  );
}

/** @returns null: the Wallet does not answer. The table is useful without it. */
async function balanceOf(c: PortalContext, accountId: string): Promise<Balance | null> {
  try {
    return await c.env.WALLET.getByName(accountId).balance();
  } catch (error) {
    console.error(JSON.stringify({ event: 'balance_failed', accountId, error: describeError(error) }));
    return null;
  }
}
