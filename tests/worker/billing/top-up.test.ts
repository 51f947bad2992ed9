import { describe, expect, it } from 'vitest';
import { beginTopUp, canTopUp } from '../../../worker/billing/top-up.ts';
import { usd } from '../../../worker/domain/money.ts';
import { env, newAccount, orderState, paidBalance } from './fixtures.ts';

const CENT = 10_000_000;

async function begin(amountNanoUsd: number) {
  const accountId = await newAccount();
  return { accountId, result: await beginTopUp(env, { accountId, amountNanoUsd, nowMs: Date.now() }) };
}

describe('a top-up', () => {
  it.each([usd(5), usd(5) + CENT, usd(5_000)])(
    'of %i nano-USD begins an order and credits nothing',
    async (amount) => {
      const { accountId, result } = await begin(amount);
      if (!result.ok) throw new Error(result.reason);
      const [, orderId] = /^https:\/\/tollgate\.test\/sandbox\/checkout\/(order_\w{26})$/.exec(
        result.redirectUrl,
      )!;
      expect(await orderState(orderId!)).toBe('open');
      expect(await paidBalance(accountId)).toBe(0);
    },
  );

  it.each([
    usd(5) - CENT,
    usd(5_000) + CENT,
    usd(20) + 1,
    usd(20) + CENT / 2,
    0,
    -usd(20),
    Number.NaN,
    Number.POSITIVE_INFINITY,
    1e300,
    usd(20) + 0.5,
  ])('of %d nano-USD is refused with the bounds', async (amount) => {
    expect((await begin(amount)).result).toEqual({
      ok: false,
      reason: 'amount_out_of_bounds',
      minNanoUsd: 5_000_000_000,
      maxNanoUsd: 5_000_000_000_000,
    });
  });

  it('is not offered in production when the only provider would be the sandbox', async () => {
    const production = { ...env, ENVIRONMENT: 'production' };
    expect(canTopUp(env)).toBe(true);
    expect(canTopUp(production)).toBe(false);
    const request = { accountId: await newAccount(), amountNanoUsd: usd(20), nowMs: Date.now() };
    await expect(beginTopUp(production, request)).rejects.toThrow('no payment provider is configured');
  });
});
