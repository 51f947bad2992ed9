/** The object that keeps stored responses: its bounds, its times, and the end of an account. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  REFERRED_MAX,
  type SealedResponse,
  STORED_BYTES_MAX,
  STORED_FOR_MS,
} from '../../../worker/domain/stored-response.ts';
import { eraseClosedAccount } from '../../../worker/identity/erase-account.ts';
import { newAccount } from '../fleet/fixtures.ts';
import { env } from '../gateway/client.ts';

afterEach(() => {
  vi.useRealTimers();
});

const bytes = (length: number, value = 1) => new Uint8Array(length).fill(value);
const sealed = (lookup: string, more: Partial<SealedResponse> = {}): SealedResponse => ({
  lookup,
  previous: null,
  sections: { input: bytes(10), output: bytes(10, 2), response: bytes(10, 3) },
  sizes: { input: 20, output: 20 },
  ...more,
});
const store = (account: string) => env.RESPONSES.getByName(account);
const head = { sections: ['input'], chain: false } as const;
const isStored = async (account: string, lookup: string) => {
  const [found] = await store(account).load([{ lookup, ...head }]);
  return found!.links.length > 0;
};

describe('a stored response', () => {
  it('is read in the sections that are wanted, also after its object was evicted and where it is large', async () => {
    const account = await newAccount();
    const large = bytes(2_500_000, 7);
    await store(account).keep(
      sealed('a', { sections: { input: bytes(1), output: large, response: bytes(1) } }),
    );
    await evictDurableObject(store(account));
    const [found] = await store(account).load([{ lookup: 'a', sections: ['output'], chain: false }]);
    expect(Object.keys(found!.links[0]!)).toEqual(['output']);
    expect(found!.links[0]!.output!.length).toBe(large.length);
    expect(found!.links[0]!.output!.every((each) => each === 7)).toBe(true);
  });

  it('is kept once, however often it is sent', async () => {
    const account = await newAccount();
    await store(account).keep(sealed('a'));
    await store(account).keep(sealed('a'));
    const counted = await runInDurableObject(store(account) as never, (_, { storage }) => [
      storage.sql.exec('SELECT count(*) AS n FROM response').one(),
      storage.sql.exec('SELECT bytes AS n FROM stored').one(),
    ]);
    expect(counted).toEqual([{ n: 1 }, { n: 542 }]);
  });

  it('brings its chain, and says why the chain ends', async () => {
    const account = await newAccount();
    const chained = (lookup: string, previous: string | null) => sealed(lookup, { previous });
    for (const [lookup, previous] of [
      ['a', null],
      ['b', 'a'],
      ['c', 'b'],
    ] as const)
      await store(account).keep(chained(lookup, previous));
    const load = async () => {
      const [found] = await store(account).load([{ lookup: 'c', sections: ['input'], chain: true }]);
      return [found!.links.length, found!.end];
    };
    expect(await load()).toEqual([3, 'beginning']);
    expect(await store(account).remove('a')).toBe('removed');
    expect(await load()).toEqual([2, 'removed']);
    await evictDurableObject(store(account));
    expect(await load()).toEqual([2, 'missing']);
  });

  it('is not read beyond the bounds of a request', async () => {
    const account = await newAccount();
    const huge = { input: 3 << 20, output: 0 };
    await store(account).keep(sealed('a', { sizes: huge }));
    await store(account).keep(sealed('b', { sizes: huge, previous: 'a' }));
    const [found] = await store(account).load([{ lookup: 'b', sections: ['input'], chain: true }]);
    expect(found).toMatchObject({ end: 'too_large' });
    const many = Array.from({ length: REFERRED_MAX + 1 }, () => ({
      lookup: 'a',
      sections: [],
      chain: false,
    }));
    expect((await store(account).load(many)).at(-1)!.end).toBe('too_large');
  });
});

describe('the store', () => {
  it('removes the oldest responses for new ones once it is full', async () => {
    const account = await newAccount();
    const most = STORED_BYTES_MAX / 4;
    await store(account).keep(sealed('a'));
    await store(account).keep(sealed('b'));
    // counted as so large, so that the test need not write as much
    await runInDurableObject(store(account) as never, (_, { storage }) => {
      storage.sql.exec("UPDATE response SET bytes = ? WHERE lookup = 'a'", 4 * most - 600);
      storage.sql.exec('UPDATE stored SET bytes = ?', 4 * most - 58);
    });
    await store(account).keep(sealed('c'));
    expect([
      await isStored(account, 'a'),
      await isStored(account, 'b'),
      await isStored(account, 'c'),
    ]).toEqual([...[false, true, true]]);
  });

  it('forgets responses after their time', async () => {
    const account = await newAccount();
    const startMs = Date.now();
    await store(account).keep(sealed('a'));
    vi.useFakeTimers({ now: startMs + STORED_FOR_MS / 2, toFake: ['Date'] });
    await store(account).keep(sealed('b'));
    vi.setSystemTime(startMs + STORED_FOR_MS + 1_000);
    expect(await isStored(account, 'a')).toBe(false);
    expect(await isStored(account, 'b')).toBe(true);
    await runDurableObjectAlarm(store(account) as never);
    const left = await runInDurableObject(store(account) as never, async (_, { storage }) => [
      storage.sql.exec('SELECT lookup FROM response').toArray(),
      storage.sql.exec('SELECT DISTINCT seq FROM section').toArray().length,
      (await storage.getAlarm())! > Date.now(),
    ]);
    expect(left).toEqual([[{ lookup: 'b' }], 1, true]);
  });

  it('is empty once its account is closed, and can go on', async () => {
    const account = await newAccount();
    await store(account).keep(sealed('a'));
    await eraseClosedAccount(env, account);
    expect(await isStored(account, 'a')).toBe(false);
    await store(account).keep(sealed('b'));
    expect(await isStored(account, 'b')).toBe(true);
  });
});
