/** Debt: credit that a refund or dispute could not take back is owed, and the next top-up pays it off. */
import { expect, it } from 'vitest';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import { usage, walletWith } from './fixtures.ts';

/** An account that has spent part of a top-up of $5. */
async function spentTopUp() {
  const account = await walletWith(nanoUsd(0));
  await account.wallet.topUp({ orderId: 'order_1', amountNanoUsd: usd(5) });
  await account.charge(usage(0, 0, 1_000_000), { wanted: usd(3) });
  return account;
}

it('owes the credit that is not there, and returns the same answer to a repeated refund', async () => {
  const { wallet } = await spentTopUp();
  for (let again = 0; again < 3; again++) {
    const refund = await wallet.correct({ reference: 'order_1/1', amountNanoUsd: nanoUsd(-usd(5)) });
    expect(refund).toMatchObject({ uncollectedNanoUsd: 2_190_000_000 });
  }
  expect(await wallet.balance()).toMatchObject({ paidNanoUsd: 0, owedNanoUsd: 2_190_000_000 });
});

it('pays the debt from the next top-up, once, and keeps the rest', async () => {
  const { wallet } = await spentTopUp();
  await wallet.correct({ reference: 'order_1/1', amountNanoUsd: nanoUsd(-usd(5)) });
  for (let again = 0; again < 3; again++) await wallet.topUp({ orderId: 'order_2', amountNanoUsd: usd(5) });
  expect(await wallet.balance()).toMatchObject({ paidNanoUsd: usd(5) - 2_190_000_000, owedNanoUsd: 0 });
  const { entries } = await wallet.ledger({ limit: 2 });
  expect(entries).toMatchObject([
    { kind: 'correction', reference: 'order_2/debt', paidNanoUsd: -2_190_000_000 },
    { kind: 'top_up', reference: 'order_2', paidNanoUsd: usd(5) },
  ]);
});

it('pays off part of the debt when the top-up is smaller, and none of it from grants', async () => {
  const { wallet } = await spentTopUp();
  await wallet.correct({ reference: 'order_1/1', amountNanoUsd: nanoUsd(-usd(5)) });
  await wallet.grant({ grantId: 'gift', amountNanoUsd: usd(1) });
  expect(await wallet.balance()).toMatchObject({ grantedNanoUsd: usd(1), owedNanoUsd: 2_190_000_000 });
  await wallet.topUp({ orderId: 'order_2', amountNanoUsd: usd(2) });
  expect(await wallet.balance()).toMatchObject({ paidNanoUsd: 0, owedNanoUsd: 190_000_000 });
});

it('cancels the debt first when credit is returned', async () => {
  const { wallet } = await spentTopUp();
  await wallet.correct({ reference: 'order_1/1', amountNanoUsd: nanoUsd(-usd(5)) });
  const back = await wallet.correct({ reference: 'order_1/2', amountNanoUsd: usd(5) });
  expect(back).toMatchObject({ uncollectedNanoUsd: -2_190_000_000 });
  expect(await wallet.balance()).toMatchObject({ paidNanoUsd: 2_810_000_000, owedNanoUsd: 0 });
});

it('takes none of the credit that running requests hold', async () => {
  const { wallet, admit } = await walletWith(nanoUsd(0));
  await wallet.topUp({ orderId: 'order_1', amountNanoUsd: usd(5) });
  await admit({ wanted: usd(4) });
  await wallet.correct({ reference: 'order_1/1', amountNanoUsd: nanoUsd(-usd(5)) });
  expect(await wallet.balance()).toMatchObject({
    paidNanoUsd: usd(4),
    heldNanoUsd: usd(4),
    owedNanoUsd: usd(4),
  });
});
