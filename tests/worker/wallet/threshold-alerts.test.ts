/** Alerts that a Wallet raises by itself: the balance is low, a recharge is due, a cap is nearly used up. */
import { runInDurableObject } from 'cloudflare:test';
import { eq } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { database } from '../../../worker/db/client.ts';
import { notice } from '../../../worker/db/schema.ts';
import { newId } from '../../../worker/domain/ids.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import { env, limited, passTime, publish, usage, walletWith } from './fixtures.ts';

type Wallet = Awaited<ReturnType<typeof walletWith>>['wallet'];

/** Outbox items of a kind that are not published yet. */
async function waitingItems(wallet: Wallet, kind: string): Promise<unknown[]> {
  return runInDurableObject(wallet, (_, { storage }) =>
    storage.sql
      .exec<{ item: string }>("SELECT item FROM outbox WHERE item ->> '$.kind' = ? ORDER BY seq", kind)
      .toArray()
      .map(({ item }) => JSON.parse(item)),
  );
}

const notices = async (wallet: Wallet) =>
  (await waitingItems(wallet, 'notice')).map(
    (item) => (item as { notification: { notice: object } }).notification.notice,
  );

/** One output token is 2,190 nano-USD. */
const tokens = (count: number) => usage(0, 0, count);

describe('a low balance', () => {
  it('is noticed once, and again after it was higher', async () => {
    const { wallet, charge } = await walletWith(nanoUsd(usd(1) + 5_000));
    await charge(tokens(1));
    expect(await notices(wallet)).toEqual([]);
    await charge(tokens(2));
    await charge(tokens(1));
    const low = { kind: 'balance.low', balanceNanoUsd: usd(1) + 5_000 - 3 * 2_190, belowNanoUsd: usd(1) };
    expect(await notices(wallet)).toEqual([low]);
    await wallet.topUp({ orderId: 'order_1', amountNanoUsd: usd(5) });
    passTime(3_600_001);
    await wallet.setAlertThresholds({ lowBalanceNanoUsd: usd(7) });
    expect(await notices(wallet)).toHaveLength(2);
  });

  it('is noticed at most once an hour, however threshold and balance move', async () => {
    const { wallet, charge } = await walletWith(usd(2));
    for (let i = 0; i < 5; i++) {
      await wallet.setAlertThresholds({ lowBalanceNanoUsd: nanoUsd(usd(3) + i), capPercents: [i + 1] });
      await wallet.setAlertThresholds({ rechargeBelowNanoUsd: null });
      await charge(tokens(1));
    }
    expect(await notices(wallet)).toHaveLength(1);
  });

  it('is not noticed when its threshold is off', async () => {
    const { wallet, charge } = await walletWith(usd(1));
    await wallet.setAlertThresholds({ lowBalanceNanoUsd: null });
    await charge(tokens(1));
    expect(await notices(wallet)).toEqual([]);
  });

  it('arrives in D1 once, however often it is published', async () => {
    const { accountId, wallet, charge } = await walletWith(usd(1));
    await charge(tokens(1));
    const item = (await waitingItems(wallet, 'notice'))[0];
    await publish(wallet);
    await runInDurableObject(wallet, (_, { storage }) => {
      storage.sql.exec('INSERT INTO outbox (item) VALUES (?)', JSON.stringify(item));
    });
    await publish(wallet);
    const rows = await database(env).select().from(notice).where(eq(notice.accountId, accountId));
    expect(rows).toMatchObject([{ kind: 'balance.low', facts: { belowNanoUsd: usd(1) } }]);
  });
});

describe('a recharge', () => {
  it('is requested when the balance falls below its threshold, and not with every request', async () => {
    const { wallet, charge } = await walletWith(usd(5));
    await wallet.setAlertThresholds({ rechargeBelowNanoUsd: usd(5) });
    expect(await waitingItems(wallet, 'recharge')).toEqual([]);
    await charge(tokens(1));
    await charge(tokens(1));
    expect(await waitingItems(wallet, 'recharge')).toHaveLength(1);
  });

  it('is requested at once when the balance is below the new threshold already', async () => {
    const { wallet } = await walletWith(usd(1));
    await wallet.setAlertThresholds({ rechargeBelowNanoUsd: usd(2) });
    expect(await waitingItems(wallet, 'recharge')).toHaveLength(1);
  });

  it('is requested again after an hour, and after credit that is not enough', async () => {
    const { wallet, charge } = await walletWith(usd(1));
    await wallet.setAlertThresholds({ rechargeBelowNanoUsd: usd(10) });
    passTime(3_600_001);
    await charge(tokens(1));
    expect(await waitingItems(wallet, 'recharge')).toHaveLength(2);
    await wallet.topUp({ orderId: 'order_1', amountNanoUsd: usd(5) });
    expect(await waitingItems(wallet, 'recharge')).toHaveLength(3);
    await wallet.topUp({ orderId: 'order_2', amountNanoUsd: usd(5) });
    await charge(tokens(1));
    expect(await waitingItems(wallet, 'recharge')).toHaveLength(3);
  });

  it('is not requested when it is off', async () => {
    const { wallet, charge } = await walletWith(usd(1));
    await wallet.setAlertThresholds({ rechargeBelowNanoUsd: usd(2) });
    await wallet.setAlertThresholds({ rechargeBelowNanoUsd: null });
    passTime(3_600_001);
    await charge(tokens(1));
    expect(await waitingItems(wallet, 'recharge')).toHaveLength(1);
  });
});

describe('a cap', () => {
  it('is noticed at each percentage once, at the highest when a charge passes several', async () => {
    const { wallet, charge } = await walletWith(usd(5));
    await wallet.setAlertThresholds({ capPercents: [90, 50, 75] });
    const limits = limited({ capNanoUsd: nanoUsd(21_900), capPeriod: 'month' });
    const percents = async () =>
      (await notices(wallet)).map((each) => (each as unknown as { percent: number }).percent);
    await charge(tokens(4), { limits });
    expect(await percents()).toEqual([]);
    await charge(tokens(1), { limits });
    expect(await percents()).toEqual([50]);
    await charge(tokens(4), { limits });
    await charge(tokens(1), { limits });
    expect(await percents()).toEqual([50, 90]);
    expect((await notices(wallet)).at(-1)).toEqual({
      kind: 'cap.used',
      keyId: 'key_1',
      percent: 90,
      spentNanoUsd: 9 * 2_190,
      capNanoUsd: 21_900,
      capPeriod: 'month',
    });
  });

  it('is noticed as wholly used with the first request that it refuses, once in a period, and again when it is raised', async () => {
    const { wallet, admit, charge } = await walletWith(usd(5));
    const cap = (amount: number) => limited({ capNanoUsd: nanoUsd(amount), capPeriod: 'month' });
    const percents = async () =>
      (await notices(wallet)).map((each) => (each as unknown as { percent: number }).percent);
    await charge(tokens(9), { limits: cap(20_000) });
    expect(await percents()).toEqual([90]);
    // What others hold comes back, so the cap is not used up.
    const requestId = newId('req', Date.now());
    const running = await admit({ requestId, limits: cap(20_000), wanted: 290, least: 290 });
    expect(running).toMatchObject({ ok: true });
    expect(await admit({ limits: cap(20_000), least: 100 })).toMatchObject({
      refusal: { reason: 'held_by_requests' },
    });
    expect(await percents()).toEqual([90]);
    for (let i = 0; i < 2; i++)
      expect(await admit({ limits: cap(20_000), least: 2_190 })).toMatchObject({
        refusal: { reason: 'key_cap_reached' },
      });
    expect(await percents()).toEqual([90, 100]);
    expect((await notices(wallet)).at(-1)).toMatchObject({ spentNanoUsd: 19_710, capNanoUsd: 20_000 });
    await wallet.void({ requestId, nodeId: null, ending: 'not_served' });
    await charge(tokens(1), { limits: cap(22_000) });
    expect(await admit({ limits: cap(22_000), least: 2_190 })).toMatchObject({ ok: false });
    expect(await percents()).toEqual([90, 100, 90, 100]);
  });

  it('is not noticed as wholly used where the account does not want to know', async () => {
    const { wallet, admit } = await walletWith(usd(5));
    await wallet.setAlertThresholds({ capPercents: [50] });
    const limits = limited({ capNanoUsd: nanoUsd(100), capPeriod: 'month' });
    expect(await admit({ limits, least: 2_190 })).toMatchObject({ ok: false });
    expect(await notices(wallet)).toEqual([]);
  });

  it('of the whole account is noticed, too', async () => {
    const { wallet, charge } = await walletWith(usd(5));
    const limits = limited({}, { capNanoUsd: nanoUsd(21_900), capPeriod: 'day' });
    await charge(tokens(3), { limits });
    await charge(tokens(3), { limits, keyId: 'key_2' });
    expect(await notices(wallet)).toMatchObject([{ keyId: null, percent: 50, spentNanoUsd: 6 * 2_190 }]);
  });
});
