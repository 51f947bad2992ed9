/** The counters of the rate limits: exact over concurrent attempts, bounded in storage, and safe when they fail. */
import { listDurableObjectIds, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { RATE_RULES } from '../../../worker/domain/rate-limit.ts';
import type { Env } from '../../../worker/env.ts';
import { type Attempt, forgive, takeAttempt } from '../../../worker/rate-limits/attempts.ts';
import { bindings } from '../portal/browser.ts';

const BY_EMAIL = 'email_recipient';
const { count, windowMs } = RATE_RULES[BY_EMAIL];
const NETWORK = RATE_RULES.sign_in_network;

const freshEmail = () => `${crypto.randomUUID()}@example.com`;
const take = (...attempts: Attempt[]) => takeAttempt(bindings, attempts, Date.now());

afterEach(() => {
  vi.restoreAllMocks();
});

it('counts concurrent attempts exactly, over all spellings of a subject', async () => {
  const name = crypto.randomUUID().replaceAll('-', '');
  const verdicts = await Promise.all(
    Array.from({ length: 30 }, (_, i) =>
      take({
        rule: BY_EMAIL,
        subject: i % 2 ? `${name}+${i}@gmail.com` : `${name.toUpperCase()}@googlemail.com`,
      }),
    ),
  );
  expect(verdicts.filter(({ allowed }) => allowed)).toHaveLength(count);
  const refused = verdicts.find(({ allowed }) => !allowed)!;
  expect(refused.state).toMatchObject({ rule: BY_EMAIL, limit: count, remaining: 0 });
  expect(refused.retryAfterMs).toBeGreaterThan(0);
  expect(refused.retryAfterMs).toBeLessThanOrEqual(windowMs);
});

it('counts a whole IPv6 /64 as one, an IPv4 /24 with a larger allowance, and other networks apart', async () => {
  const taken = async (addresses: string[]) => {
    const attempts = addresses.map((subject) => take({ rule: 'sign_in_network', subject }));
    return (await Promise.all(attempts)).filter(({ allowed }) => allowed).length;
  };
  const many = NETWORK.sharedCount + 10;
  const inNetwork = (addressOf: (i: number) => string) =>
    taken(Array.from({ length: many }, (_, i) => addressOf(i)));
  expect(await inNetwork((i) => `2001:db8:77:1:${i.toString(16)}::1`)).toBe(NETWORK.count);
  expect(await taken(['2001:db8:77:2::1'])).toBe(1);
  expect(await inNetwork((i) => `${i % 2 ? '::ffff:' : ''}198.51.100.${i % 256}`)).toBe(NETWORK.sharedCount);
  expect(await taken(['198.51.101.1'])).toBe(1);
});

it('does not count the own machine in development, and counts it everywhere else', async () => {
  const production: Env = { ...bindings, ENVIRONMENT: 'production' };
  const attempts: Attempt[] = [{ rule: 'sign_in_network', subject: '127.0.0.1' }];
  expect(await takeAttempt(bindings, attempts, Date.now())).toMatchObject({ allowed: true, state: null });
  expect(await takeAttempt(production, attempts, Date.now())).toMatchObject({
    state: { rule: 'sign_in_network' },
  });
});

it('makes no counter for a subject when the network before it is refused', async () => {
  const subject = '2001:db8:99:1::5';
  for (let i = 0; i < NETWORK.count; i++) await take({ rule: 'sign_in_network', subject });
  const before = (await listDurableObjectIds(bindings.RATE_LIMITER as never)).length;
  const verdict = await take({ rule: 'sign_in_network', subject }, { rule: BY_EMAIL, subject: freshEmail() });
  expect(verdict).toMatchObject({ allowed: false, state: { rule: 'sign_in_network' } });
  expect(await listDurableObjectIds(bindings.RATE_LIMITER as never)).toHaveLength(before);
});

it('counts none of the rules of one subject when one of them refuses', async () => {
  const email = freshEmail();
  const both: Attempt[] = [
    { rule: 'sign_in_email', subject: email },
    { rule: 'email_recipient', subject: email },
  ];
  for (let i = 0; i < RATE_RULES.email_recipient.count; i++) await take(both[1]!);
  expect(await take(...both)).toMatchObject({ allowed: false, state: { rule: 'email_recipient' } });
  expect(await take(both[0]!)).toMatchObject({
    state: { remaining: RATE_RULES.sign_in_email.count - 1 },
  });
});

it('begins anew when the window is over or the count is forgiven', async () => {
  const attempt: Attempt = { rule: BY_EMAIL, subject: freshEmail() };
  const nowMs = Date.now();
  const at = async (atMs: number) => (await takeAttempt(bindings, [attempt], atMs)).allowed;
  for (let i = 0; i < count; i++) expect(await at(nowMs)).toBe(true);
  expect(await at(nowMs + windowMs - 1)).toBe(false);
  expect(await at(nowMs + windowMs)).toBe(true);
  for (let i = 1; i < count; i++) await at(nowMs + windowMs);
  expect(await at(nowMs + windowMs)).toBe(false);
  await forgive(bindings, attempt);
  expect(await at(nowMs + windowMs)).toBe(true);
});

describe('storage', () => {
  const stored = (stub: unknown) =>
    runInDurableObject(stub as never, (_, { storage }) => [...storage.kv.list()].length);

  it('holds one window per rule and nothing after the last one is over', async () => {
    const stub = bindings.RATE_LIMITER.getByName(crypto.randomUUID());
    const long = { rule: 'email_recipient', limit: 9 } as const;
    const short = { rule: 'sign_in_network', limit: 9 } as const;
    const hourAgo = Date.now() - RATE_RULES.email_recipient.windowMs;
    for (let i = 0; i < 5; i++) await stub.take([long, short], hourAgo + 60_000);
    expect(await stored(stub)).toBe(2);
    // the short window is over, the long one is not: the alarm comes again at its end
    expect(await runDurableObjectAlarm(stub as never)).toBe(true);
    expect(await stored(stub)).toBe(2);
    await stub.forgive('email_recipient');
    expect(await runDurableObjectAlarm(stub as never)).toBe(true);
    expect(await stored(stub)).toBe(0);
    expect(await runDurableObjectAlarm(stub as never)).toBe(false);
    // the object counts again after it was emptied
    expect(await stub.take([short], Date.now())).toMatchObject({ allowed: true });
  });
});

describe('an unreachable counter', () => {
  const down = { getByName: () => ({ take: () => Promise.reject(new Error('down')) }) };
  const env = { ...bindings, RATE_LIMITER: down as unknown as Env['RATE_LIMITER'] };

  it('refuses guesses and e-mails for a moment, and is logged without their subject', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    const subject = freshEmail();
    const verdict = await takeAttempt(env, [{ rule: BY_EMAIL, subject }], Date.now());
    expect(verdict).toMatchObject({ allowed: false, state: null });
    expect(verdict.retryAfterMs).toBeGreaterThan(0);
    expect(String(log.mock.calls[0])).toContain('rate_limiter_failed');
    expect(String(log.mock.calls)).not.toContain(subject);
  });
});
