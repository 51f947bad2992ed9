/** GET /user/balance, as DeepSeek answers it: amounts are decimal strings, here exact to the nano-USD. */
import { formatUsd, nanoUsd } from '../domain/money.ts';
import type { ApiContext } from '../http/response-headers.ts';

export async function getBalance(c: ApiContext): Promise<Response> {
  const balance = await c.env.WALLET.getByName(c.get('principal').accountId).balance();
  return c.json({
    is_available: balance.availableNanoUsd > 0,
    balance_infos: [
      {
        currency: 'USD',
        total_balance: formatUsd(nanoUsd(balance.grantedNanoUsd + balance.paidNanoUsd)),
        granted_balance: formatUsd(balance.grantedNanoUsd),
        topped_up_balance: formatUsd(balance.paidNanoUsd),
        /** part of the total that requests in flight hold */
        held_balance: formatUsd(balance.heldNanoUsd),
        /** taken back by a refund or dispute after it was spent: the next top-up pays it off */
        owed_balance: formatUsd(balance.owedNanoUsd),
      },
    ],
  });
}
