/**
 * Caps follow the money: the keys of one lineage of rotations sum their spend and holds against their caps, and all keys
 * that a management key made share its cap, in own holds and in leases alike.
 */
import { evictDurableObject, runInDurableObject } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import { type LeaseReport, NO_ALLOTMENT } from '../../../worker/domain/lease.ts';
import type { CapPeriod, Limits, ScopedLimits, SharedCaps } from '../../../worker/domain/limits.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import { limited, passTime, price, publish, usage, walletWith } from './fixtures.ts';

const DAY_MS = 86_400_000;
/** 100 completion tokens cost 219,000 nano-USD. */
const USED = usage(0, 0, 100);
const COST = 100 * price.outputNanoUsd;

/** Limits of a key that was rotated from `key_1`, or that `key_manager` made. */
function sharing(shared: Partial<SharedCaps>, key: Partial<Limits> = {}): ScopedLimits {
  return { ...limited(key), shared: { lineageId: null, manager: null, ...shared } };
}

const rotated = (capNanoUsd: number, capPeriod: CapPeriod = 'total') =>
  sharing({ lineageId: 'key_1' }, { capNanoUsd: nanoUsd(capNanoUsd), capPeriod });
const managed = (capNanoUsd: number, capPeriod: CapPeriod = 'month') =>
  sharing({ manager: { keyId: 'key_manager', capNanoUsd: nanoUsd(capNanoUsd), capPeriod } });

describe('a key that was rotated', () => {
  it.each(['day', 'month', 'total'] as const)(
    'starts with what its predecessors spent in the period (%s), and they count what it spends',
    async (capPeriod) => {
      const { admit, charge } = await walletWith(usd(1));
      const cap = { capNanoUsd: nanoUsd(2 * COST), capPeriod };
      await charge(USED, { keyId: 'key_1', limits: limited(cap) });
      await charge(USED, { keyId: 'key_2', limits: rotated(2 * COST, capPeriod) });
      for (const [keyId, limits] of [
        ['key_1', limited(cap)],
        ['key_2', rotated(2 * COST, capPeriod)],
        ['key_3', rotated(2 * COST, capPeriod)],
      ] as const)
        expect([keyId, await admit({ keyId, limits })]).toMatchObject([
          keyId,
          { ok: false, refusal: { reason: 'key_cap_reached', usedNanoUsd: 2 * COST } },
        ]);
      if (capPeriod !== 'day') return;
      passTime(DAY_MS);
      expect(await admit({ keyId: 'key_3', limits: rotated(2 * COST, capPeriod) })).toMatchObject({
        ok: true,
      });
    },
  );

  it('counts what its predecessor holds during the overlap, also after the object restarts', async () => {
    const { wallet, admit, resize } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ keyId: 'key_2', limits: rotated(10_000), requestId, wanted: 6_000 });
    for (let restart = 0; restart < 2; restart++) {
      const first = await admit({ keyId: 'key_1', limits: limited({ capNanoUsd: nanoUsd(6_500) }) });
      expect(first).toMatchObject({
        ok: false,
        refusal: { reason: 'held_by_requests', bound: 'key_cap_reached', heldNanoUsd: 6_000 },
      });
      expect(await wallet.load({ keyId: 'key_3', lineageId: 'key_1', capPeriod: 'total' })).toMatchObject({
        heldNanoUsd: 6_000,
        inFlight: 0,
      });
      await evictDurableObject(wallet);
    }
    expect(await resize(requestId, 90_000)).toEqual({ heldNanoUsd: 10_000, boundBy: 'key_cap_reached' });
    await wallet.void({ requestId, nodeId: null, ending: 'not_served' });
    expect(await admit({ keyId: 'key_1', limits: limited({ capNanoUsd: nanoUsd(6_500) }) })).toMatchObject({
      heldNanoUsd: 6_500,
    });
  });
});

describe('the cap of a management key', () => {
  it('is shared by all keys that it made, in spend and in holds', async () => {
    const { wallet, admit, charge, resize } = await walletWith(usd(1));
    await charge(USED, { keyId: 'key_1', limits: managed(2 * COST) });
    const requestId = newId('req', Date.now());
    const held = await admit({ keyId: 'key_2', limits: managed(2 * COST), requestId, wanted: COST - 2_000 });
    expect(held).toMatchObject({ ok: true, heldNanoUsd: COST - 2_000 });
    expect(await admit({ keyId: 'key_3', limits: managed(2 * COST), wanted: 50_000 })).toMatchObject({
      heldNanoUsd: 2_000,
    });
    const refused = await admit({ keyId: 'key_4', limits: managed(2 * COST) });
    expect(refused).toMatchObject({
      ok: false,
      refusal: {
        reason: 'held_by_requests',
        bound: 'manager_cap_reached',
        limitNanoUsd: 2 * COST,
        spentNanoUsd: COST,
        heldNanoUsd: COST,
      },
    });
    expect(await resize(requestId, COST)).toEqual({
      heldNanoUsd: COST - 2_000,
      boundBy: 'manager_cap_reached',
    });
    expect(await wallet.load({ keyId: 'key_manager', capPeriod: 'month' })).toMatchObject({
      spentNanoUsd: COST,
      heldNanoUsd: COST,
    });
    // what keys share is counted once for the account
    expect(await wallet.load({ keyId: null, capPeriod: 'total' })).toMatchObject({ spentNanoUsd: COST });
    expect(await admit({ keyId: 'key_5', limits: limited() })).toMatchObject({ ok: true });
  });

  it('lasts through a rotation of a key that it made', async () => {
    const { admit, charge } = await walletWith(usd(1));
    await charge(USED, { keyId: 'key_1', limits: managed(COST) });
    const { shared } = managed(COST);
    const limits = sharing({ lineageId: 'key_1', manager: shared!.manager }, { capNanoUsd: nanoUsd(COST) });
    expect(await admit({ keyId: 'key_2', limits })).toMatchObject({ refusal: { reason: 'key_cap_reached' } });
    expect(await admit({ keyId: 'key_2', limits: { ...limits, key: limited().key } })).toMatchObject({
      refusal: { reason: 'manager_cap_reached' },
    });
  });

  it('is exact when many ask at once', async () => {
    const { admit } = await walletWith(usd(1));
    const asked = Array.from({ length: 60 }, (_, i) =>
      admit({ keyId: `key_${i % 5}`, limits: managed(20_000), wanted: 1_000 }),
    );
    expect((await Promise.all(asked)).filter(({ ok }) => ok)).toHaveLength(20);
  });

  it('raises its alerts under the id of the management key', async () => {
    const { wallet, charge } = await walletWith(usd(1));
    await charge(USED, { keyId: 'key_1', limits: managed(COST) });
    const items = await runInDurableObject(wallet, (_, { storage }) =>
      storage.sql
        .exec('SELECT item FROM outbox')
        .toArray()
        .map(({ item }) => JSON.parse(item as string)),
    );
    const notices = items.filter(({ kind }) => kind === 'notice').map((item) => item.notification.notice);
    expect(notices.filter(({ kind }) => kind === 'cap.used')).toEqual([
      expect.objectContaining({ keyId: 'key_manager', percent: 100, spentNanoUsd: COST }),
    ]);
  });
});

it('shared spend of past months is one row a key, and total caps still count it', async () => {
  const { wallet, admit, charge } = await walletWith(usd(1));
  for (let n = 0; n < 2; n++) {
    await charge(USED, { keyId: 'key_2', limits: rotated(5 * COST) });
    passTime(DAY_MS);
  }
  passTime(70 * DAY_MS);
  await publish(wallet);
  const rows = await runInDurableObject(wallet, (_, { storage }) =>
    storage.sql.exec('SELECT * FROM shared_spend').toArray(),
  );
  expect(rows).toEqual([{ key_id: 'key_1', day: 0, spent_nano_usd: 2 * COST }]);
  expect(await admit({ keyId: 'key_3', limits: rotated(2 * COST) })).toMatchObject({ ok: false });
});

describe('leases', () => {
  const report = (keyId: string, limits: ScopedLimits, over: Partial<LeaseReport> = {}): LeaseReport => ({
    leaseId: newId('lease', Date.now()),
    seq: 1,
    terms: { keyId, modelId: 'deepseek-r1-0528', price, limits },
    ended: [],
    reportedBefore: 0,
    admitted: 0,
    running: NO_ALLOTMENT,
    keptSlack: NO_ALLOTMENT,
    needs: { nanoUsd: nanoUsd(0), tokens: 0 },
    wantedSlack: { requests: 32, nanoUsd: nanoUsd(32_000), tokens: 320 },
    affinitiesSeen: 0,
    ...over,
  });

  it('set aside no more than the shared caps leave, and what is set aside counts for the other keys', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const { slack } = await wallet.lease(report('key_1', managed(80_000)));
    expect(slack).toMatchObject({ requests: 10, nanoUsd: 10_000 });
    const load = await wallet.load({ keyId: 'key_manager', capPeriod: 'month' });
    expect(load.heldNanoUsd).toBe(10_000);
    expect(await admit({ keyId: 'key_2', limits: managed(80_000), wanted: 80_000 })).toMatchObject({
      heldNanoUsd: 70_000,
    });
  });

  it('charge what their requests cost to the shared caps, and give back the rest', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const limits = managed(2 * COST);
    const first = report('key_1', limits, {
      wantedSlack: { requests: 2, nanoUsd: nanoUsd(COST / 4), tokens: 20 },
    });
    expect((await wallet.lease(first)).slack.nanoUsd).toBeGreaterThan(0);
    const ended = [
      {
        requestId: newId('req', Date.now()),
        stream: true,
        admittedAgoMs: 5,
        heldNanoUsd: nanoUsd(COST / 4),
        nodeId: 'node_a',
        ending: 'finished' as const,
        usage: usage(0, 0, 25),
        ttftMs: 1,
      },
    ];
    const nothing = { wantedSlack: NO_ALLOTMENT, admitted: 1, ended };
    expect(await wallet.lease({ ...first, seq: 2, ...nothing })).toMatchObject({ open: false });
    expect(await wallet.load({ keyId: 'key_manager', capPeriod: 'month' })).toMatchObject({
      spentNanoUsd: 25 * price.outputNanoUsd,
      heldNanoUsd: 0,
    });
    expect(await admit({ keyId: 'key_2', limits, wanted: 2 * COST })).toMatchObject({
      heldNanoUsd: 2 * COST - 25 * price.outputNanoUsd,
    });
  });
});
