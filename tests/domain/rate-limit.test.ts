/** Rate limits: the window of a rule, the network of a client address, and the canonical form of an e-mail address. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalEmail } from '../../worker/domain/canonical-email.ts';
import { isLoopbackAddress, networkOf } from '../../worker/domain/network.ts';
import { decideAttempt, RATE_RULES, type RateWindow } from '../../worker/domain/rate-limit.ts';

const RULE = 'sign_in_email';
const { windowMs } = RATE_RULES[RULE];

describe('a window', () => {
  it('allows as many attempts as the limit, says what remains, and begins anew at its end', () => {
    let window: RateWindow | undefined;
    const seen = [0, 1, 2, windowMs - 1, windowMs].map((nowMs) => {
      const decision = decideAttempt({ rule: RULE, limit: 2 }, window, nowMs);
      window = decision.window;
      return [decision.allowed, decision.state.remaining, decision.state.resetMs];
    });
    expect(seen).toEqual([
      [true, 1, windowMs],
      [true, 0, windowMs - 1],
      [false, 0, windowMs - 2],
      [false, 0, 1],
      [true, 1, windowMs],
    ]);
  });

  it('never allows more than the limit between two resets, whatever the clocks say', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3 * windowMs })),
        fc.integer({ min: 1, max: 9 }),
        (times, limit) => {
          let window: RateWindow | undefined;
          for (const nowMs of times) {
            const { allowed, state, window: next } = decideAttempt({ rule: RULE, limit }, window, nowMs);
            expect(next.count).toBeLessThanOrEqual(limit);
            expect(state.resetMs).toBeGreaterThan(0);
            expect(state.resetMs).toBeLessThanOrEqual(windowMs);
            expect(state.remaining).toBe(limit - next.count);
            if (allowed) window = next;
          }
        },
      ),
    );
  });
});

it.each([
  ['203.0.113.77', '203.0.113.0/24', true],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64', false],
  ['2001:DB8:1:2::', '2001:db8:1:2::/64', false],
  ['2001:0db8:0001:0002:ffff::1', '2001:db8:1:2::/64', false],
  ['2001:db8::1', '2001:db8:0:0::/64', false],
  ['::ffff:203.0.113.9', '203.0.113.0/24', true],
  ['::ffff:cb00:7109', '203.0.113.0/24', true],
  ['2002:cb00:7109:5::1', '203.0.113.0/24', true],
  ['fe80::1%eth0', 'fe80:0:0:0::/64', false],
  ['', 'unknown', false],
  ['203.0.113.256', 'unknown', false],
  ['1::2::3', 'unknown', false],
  ['1:2:3:4:5:6:7', 'unknown', false],
  ['nonsense:', 'unknown', false],
])('the network of %j is %s', (address, prefix, shared) => {
  expect(networkOf(address)).toEqual({ prefix, shared });
});

it('knows the addresses of the own machine', () => {
  expect(['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1'].map(isLoopbackAddress)).toEqual([
    true,
    true,
    true,
    true,
  ]);
  expect(['128.0.0.1', '::2', '', '1::1'].map(isLoopbackAddress)).toEqual([false, false, false, false]);
});

it.each([
  [' Ada@Example.COM ', 'ada@example.com'],
  ['ada+news@example.com', 'ada@example.com'],
  ['a.d.a@example.com', 'a.d.a@example.com'],
  ['A.d.a+x+y@GoogleMail.com', 'ada@gmail.com'],
  ['ada@gmail.com.', 'ada@gmail.com'],
  ['a-d_a@pm.me', 'ada@proton.me'],
  ['ada@mac.com', 'ada@icloud.com'],
  ['ada-shop@yahoo.co.uk', 'ada@yahoo.co.uk'],
  ['ada-a-b+c@ymail.com', 'ada@ymail.com'],
  ['-@yahoo.com', '-@yahoo.com'],
  ['ada-x@yahoo.example.com', 'ada-x@yahoo.example.com'],
  ['shop@ada.fastmail.com', 'ada@fastmail.com'],
  ['ada+shop@fastmail.com', 'ada@fastmail.com'],
  ['ada@protonmail.ch', 'ada@proton.me'],
  ['ada@yandex.kz', 'ada@yandex.ru'],
  ['ada@MÜNCHEN.example', 'ada@xn--mnchen-3ya.example'],
  ['ａｄａ@example.com', 'ada@example.com'],
  ['+only@example.com', '+only@example.com'],
  ['"a@b"@example.com', '"a@b"@example.com'],
  ['no address', 'no address'],
])('the canonical form of %j is %s', (typed, canonical) => {
  expect(canonicalEmail(typed)).toBe(canonical);
  expect(canonicalEmail(canonical)).toBe(canonical);
});
