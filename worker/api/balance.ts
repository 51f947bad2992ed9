/** GET /user/balance, as DeepSeek answers it: amounts are decimal strings, here exact to the nano-USD. */
import type { Context } from 'hono';
import { formatUsd, nanoUsd } from '../domain/money.ts';
import { config, type Env } from '../env.ts';
import { authenticate } from '../gateway/authenticate.ts';
import { refusalResponse } from '../gateway/refusal.ts';

export async function getBalance(c: Context<{ Bindings: Env }>): Promise<Response> {
  const who = await authenticate(c.req.raw, c.env, Date.now());
  if (!who.ok) return refusalResponse(who.refusal, config(c.env).publicOrigin);
  const balance = await c.env.WALLET.getByName(who.principal.accountId).balance();
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
