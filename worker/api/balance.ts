/** GET /user/balance in DeepSeek's form: amounts are decimal strings, here exact to the nano-USD. */
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
        /** part of the total, held for requests in flight */
        held_balance: formatUsd(balance.heldNanoUsd),
        /** credit that a refund or dispute took back after it was spent; the next top-up pays it off */
        owed_balance: formatUsd(balance.owedNanoUsd),
      },
    ],
  });
}
