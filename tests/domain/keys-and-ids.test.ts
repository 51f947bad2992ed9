import { describe, expect, it } from 'vitest';
import { hashApiKey, isWellFormedApiKey, maskedApiKey, newApiKey } from '../../worker/domain/api-key.ts';
import { firstIdAt, isId, newId, timeOfId } from '../../worker/domain/ids.ts';
import { periodEndMs, periodStartDay } from '../../worker/domain/limits.ts';

describe('API keys', () => {
  it('are well formed and unique', () => {
    const keys = Array.from({ length: 200 }, newApiKey);
    expect(keys.every(isWellFormedApiKey)).toBe(true);
    expect(new Set(keys).size).toBe(200);
  });

  it('reveal a typo in any place without a look-up', () => {
    const key = newApiKey();
    for (let i = 'sk-tg-'.length; i < key.length; i++) {
      const typo = key.slice(0, i) + (key[i] === 'A' ? 'B' : 'A') + key.slice(i + 1);
      expect(isWellFormedApiKey(typo)).toBe(false);
    }
  });

  it.each(['', 'sk-tg-', 'sk-live-abc', `${newApiKey()} `, newApiKey().slice(1), `' OR 1=1 --`])(
    'refuse %j',
    (text) => {
      expect(isWellFormedApiKey(text)).toBe(false);
    },
  );

  it('are hashed under the pepper', async () => {
    const pepper = (secret: string) =>
      crypto.subtle.importKey(
        'raw',
        new TextEncoder().encode(secret),
        { name: 'HMAC', hash: 'SHA-256' },
        false,
        ['sign'],
      );
    const key = newApiKey();
    const hash = await hashApiKey(key, await pepper('one'));
    expect(hash).toMatch(/^[\w-]{43}$/);
    expect(hash).not.toBe(await hashApiKey(key, await pepper('two')));
    expect(hash).toBe(await hashApiKey(key, await pepper('one')));
    expect(maskedApiKey(key.slice(-4))).not.toContain(key.slice(6, 40));
  });
});

describe('ids', () => {
  it('sort by time and have one length', () => {
    const ids = [0, 1, 1_700_000_000_000, 1_700_000_000_001, 2 ** 48 - 1].map((ms) => newId('req', ms));
    expect([...ids].sort()).toEqual(ids);
    expect(ids.every((id) => id.length === 30 && isId('req', id))).toBe(true);
  });

  it('encode the bytes that are passed in', () => {
    expect(newId('acct', 0, new Uint8Array(10))).toBe(`acct_${'0'.repeat(26)}`);
    expect(newId('acct', 0, new Uint8Array(10).fill(255))).toBe(`acct_${'0'.repeat(10)}${'z'.repeat(16)}`);
  });

  it('carry the time they were made, and none of that time sorts before the first', () => {
    for (const ms of [1, 1_700_000_000_000, 2 ** 48 - 2]) {
      expect(timeOfId(newId('req', ms))).toBe(ms);
      expect(firstIdAt('req', ms) <= newId('req', ms)).toBe(true);
      expect(firstIdAt('req', ms) > newId('req', ms - 1)).toBe(true);
    }
    expect(firstIdAt('req', -5)).toBe(firstIdAt('req', 0));
    expect(timeOfId('req_ui')).toBeNaN();
  });

  it.each([
    'req_',
    'key_00000000000000000000000000',
    'req_0000000000000000000000000!',
    `req_${'0'.repeat(27)}`,
    `req_${'l'.repeat(26)}`,
  ])('are not %j', (text) => {
    expect(isId('req', text)).toBe(false);
  });
});

describe('cap periods', () => {
  const at = Date.parse('2026-02-28T23:59:59Z');
  it('begin and end in UTC', () => {
    expect(periodEndMs('day', at)).toBe(Date.parse('2026-03-01'));
    expect(periodEndMs('month', at)).toBe(Date.parse('2026-03-01'));
    expect(periodEndMs('total', at)).toBeNull();
    expect(periodStartDay('month', at)).toBe(Date.parse('2026-02-01') / 86_400_000);
    expect(periodStartDay('total', at)).toBe(0);
  });
});
