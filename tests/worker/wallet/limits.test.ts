/** Limits of a key and of its account: exact, checked in the same call as the hold, and kept when the object restarts. */
import { evictDurableObject } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import type { LimitScope, Limits } from '../../../worker/domain/limits.ts';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import { limited, passTime, usage, walletWith } from './fixtures.ts';

/** Each scope, limits of that scope only, and a key that shares them: the same key, or a second key of the account. */
const SCOPES: [LimitScope, (limits: Partial<Limits>) => ReturnType<typeof limited>, string][] = [
  ['key', (limits) => limited(limits), 'key_1'],
  ['account', (limits) => limited({}, limits), 'key_2'],
];

describe.each(SCOPES)('limits of the %s', (scope, limitedIn, secondKeyId) => {
  it('refuse more requests a minute than allowed, until the minute is over', async () => {
    const { admit } = await walletWith(usd(1));
    const limits = limitedIn({ requestsPerMinute: 2 });
    expect(await admit({ limits })).toMatchObject({ rateLimit: { requests: { limit: 2, remaining: 1 } } });
    passTime(10_000);
    expect(await admit({ limits, keyId: secondKeyId })).toMatchObject({
      rateLimit: { requests: { remaining: 0 } },
    });
    expect(await admit({ limits, keyId: secondKeyId })).toMatchObject({
      ok: false,
      refusal: {
        reason: 'requests_per_minute',
        scope,
        limit: 2,
        used: 2,
        retryAfterMs: expect.closeTo(50_000, -3),
      },
    });
    passTime(50_001);
    expect(await admit({ limits })).toMatchObject({ ok: true });
    expect(await admit({ limits, keyId: secondKeyId })).toMatchObject({ ok: false });
  });

  it('count tokens in flight and of the last minute, corrected as they become known', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const limits = limitedIn({ tokensPerMinute: 1_000 });
    const requestId = newId('req', Date.now());
    expect(await admit({ limits, requestId, tokens: 900 })).toMatchObject({
      rateLimit: { tokens: { limit: 1_000, remaining: 100 } },
    });
    const refused = { ok: false, refusal: { reason: 'tokens_per_minute', scope, limit: 1_000 } };
    expect(await admit({ limits, keyId: secondKeyId, tokens: 101 })).toMatchObject({
      ...refused,
      refusal: { ...refused.refusal, used: 900, wanted: 101, retryAfterMs: 1_000 },
    });
    await wallet.resize({ requestId, wantedNanoUsd: nanoUsd(1_000_000), tokens: 300 });
    expect(await admit({ limits, keyId: secondKeyId, tokens: 700 })).toMatchObject({ ok: true });
    await wallet.post({ requestId, nodeId: 'n', usage: usage(100, 0, 250), ending: 'finished', ttftMs: 1 });
    expect(await admit({ limits, tokens: 1 })).toMatchObject({ ...refused, refusal: { used: 1_050 } });
    passTime(60_001);
    expect(await admit({ limits, tokens: 300 })).toMatchObject({ ok: true });
  });

  it('admit a request that is larger than a minute allows, when it is alone', async () => {
    const { admit } = await walletWith(usd(1));
    const limits = limitedIn({ tokensPerMinute: 10 });
    expect(await admit({ limits, tokens: 5_000 })).toMatchObject({ ok: true });
    expect(await admit({ limits, tokens: 1 })).toMatchObject({ ok: false });
  });

  it('count requests in flight', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const limits = limitedIn({ concurrency: 1 });
    const requestId = newId('req', Date.now());
    await admit({ limits, requestId });
    expect(await admit({ limits, keyId: secondKeyId })).toMatchObject({
      refusal: { reason: 'concurrency', scope, limit: 1, used: 1 },
    });
    await wallet.void({ requestId, nodeId: null, ending: 'not_served' });
    expect(await admit({ limits, keyId: secondKeyId })).toMatchObject({ ok: true });
  });

  it('cap spend including what is held, and allow it again in the next period', async () => {
    const { wallet, admit, resize } = await walletWith(usd(1));
    const limits = limitedIn({ capNanoUsd: nanoUsd(5_000), capPeriod: 'day' });
    const reason = `${scope}_cap_reached`;
    const requestId = newId('req', Date.now());
    expect(await admit({ limits, requestId })).toMatchObject({ ok: true, heldNanoUsd: 5_000 });
    expect(await resize(requestId, 90_000)).toEqual({ heldNanoUsd: 5_000, boundBy: reason });
    expect(await admit({ limits, keyId: secondKeyId })).toMatchObject({
      refusal: { reason: 'held_by_requests', bound: reason, limitNanoUsd: 5_000, heldNanoUsd: 5_000 },
      retryInMs: 300,
    });
    await wallet.post({ requestId, nodeId: 'n', usage: usage(0, 0, 2), ending: 'finished', ttftMs: null });
    expect(await admit({ limits, keyId: secondKeyId, least: 621 })).toMatchObject({
      refusal: { usedNanoUsd: 4_380 },
    });
    passTime(86_400_000);
    expect(await admit({ limits, keyId: secondKeyId })).toMatchObject({ ok: true, heldNanoUsd: 5_000 });
  });

  it('are counted again after the object restarts', async () => {
    const { wallet, admit } = await walletWith(usd(1));
    const requestId = newId('req', Date.now());
    await admit({ requestId, tokens: 70 });
    await admit({ tokens: 30 });
    await wallet.post({ requestId, nodeId: 'n', usage: usage(10, 0, 5), ending: 'finished', ttftMs: 1 });
    const counted = { keyId: scope === 'key' ? 'key_1' : null, capPeriod: 'total' } as const;
    const before = await wallet.load(counted);
    expect(before).toMatchObject({ requestsLastMinute: 2, tokensLastMinute: 45, inFlight: 1 });
    await evictDurableObject(wallet);
    const { oldestRequestAgeMs: _, tokensFreeInMs: __, ...after } = await wallet.load(counted);
    expect(before).toMatchObject(after);
  });
});

it('gives a key the tighter of its own limit and its account’s', async () => {
  const { admit } = await walletWith(usd(1));
  const limits = limited({ capNanoUsd: nanoUsd(4_000) }, { capNanoUsd: nanoUsd(6_000) });
  expect(await admit({ limits })).toMatchObject({ ok: true, heldNanoUsd: 4_000 });
  expect(await admit({ limits, keyId: 'key_2' })).toMatchObject({ ok: true, heldNanoUsd: 2_000 });
  expect(await admit({ limits, keyId: 'key_3' })).toMatchObject({
    refusal: { reason: 'held_by_requests', bound: 'account_cap_reached', heldNanoUsd: 6_000 },
  });
});

it('admits exactly a minute’s requests when many come at once', async () => {
  const { admit } = await walletWith(usd(5));
  const limits = limited({ requestsPerMinute: 100 });
  const results = await Promise.all(Array.from({ length: 300 }, () => admit({ limits, wanted: 1_000 })));
  expect(results.filter(({ ok }) => ok)).toHaveLength(100);
});
