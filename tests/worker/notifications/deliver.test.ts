/** Deliveries of notices by e-mail and webhook: once each, with retries over three days, and a record of every attempt. */
import { describe, expect, it, vi } from 'vitest';
import { noticeAddresses, saveNoticeSetting } from '../../../worker/db/notices.ts';
import { removeEndpoint } from '../../../worker/db/webhook-endpoints.ts';
import type { AccountEmail } from '../../../worker/domain/account-email.ts';
import { usd } from '../../../worker/domain/money.ts';
import { RATE_RULES } from '../../../worker/domain/rate-limit.ts';
import { sendAccountEmail } from '../../../worker/notifications/email/send.ts';
import { raiseNotice } from '../../../worker/notifications/raise.ts';
import { ATTEMPTS_MAX, nextDelayMs } from '../../../worker/notifications/retry-schedule.ts';
import { FAILED_QUEUE } from '../../../worker/queue.ts';
import { bindings } from '../portal/browser.ts';
import {
  addMember,
  db,
  LOW_BALANCE,
  letTimePass,
  logOf,
  newAccount,
  TaskHarness,
  WITHOUT_MAIL,
} from './fixtures.ts';
import { received, respond } from './receiver.ts';

const raise = (harness: TaskHarness, accountId: string, cause = 'test') =>
  raiseNotice(harness.env, { accountId, cause, notice: LOW_BALANCE, nowMs: Date.now() });

/** An account with one endpoint and no e-mail, and the task of its one delivery. */
async function oneDelivery(harness = new TaskHarness()) {
  const accountId = await newAccount();
  await saveNoticeSetting(db, { accountId, lowBalanceNanoUsd: null, capPercents: [], byEmail: false });
  const endpoint = await harness.endpoint(accountId);
  await raise(harness, accountId);
  await harness.consume(harness.tasks.splice(0));
  const [task] = harness.tasks.splice(0);
  return { harness, accountId, endpoint, task: task! };
}

it('notifies owners, billing members and every live endpoint once each, and nobody else', async () => {
  const harness = new TaskHarness();
  const [owner, billing, developer] = ['o', 'b', 'd'].map(
    (name) => `${name}-${crypto.randomUUID()}@x.example`,
  );
  const accountId = await newAccount({ owner, billing, developer });
  await newAccount({ owner: `${crypto.randomUUID()}@y.example` });
  const [first, second, removed] = [
    await harness.endpoint(accountId),
    await harness.endpoint(accountId),
    await harness.endpoint(accountId),
  ];
  await removeEndpoint(db, { accountId, endpointId: removed.id, nowMs: Date.now() });
  await raise(harness, accountId);
  await raise(harness, accountId);
  await harness.drain();
  await raise(harness, accountId);
  await harness.drain();
  expect(harness.emails.map(({ to }) => to).sort()).toEqual([billing, owner].sort());
  expect(received.map(({ url }) => url).sort()).toEqual([first.url, second.url].sort());
  expect((await logOf(accountId)).map(({ state }) => state)).toEqual(Array(4).fill('delivered'));
});

it('notifies more people than a queue takes messages at once', async () => {
  const harness = new TaskHarness();
  const accountId = await newAccount();
  for (let i = 0; i < 130; i++) await addMember(accountId, 'billing', `${crypto.randomUUID()}@x.example`);
  await raise(harness, accountId);
  expect(await harness.consume(harness.tasks.splice(0))).toEqual(['ack']);
  expect(harness.tasks.map(({ kind }) => kind)).toEqual(Array(131).fill('deliver'));
});

it('creates one notice per cause and account', async () => {
  const harness = new TaskHarness();
  const [one, other] = [await newAccount(), await newAccount()];
  await raise(harness, one);
  await raise(harness, one);
  await raise(harness, one, 'something else');
  await raise(harness, other);
  const ids = harness.tasks.map((task) => task.kind === 'notify' && task.noticeId);
  expect(ids[0]).toBe(ids[1]);
  expect(new Set(ids).size).toBe(3);
});

it('sends no e-mail if the account has turned it off', async () => {
  const { harness, task } = await oneDelivery();
  await harness.consume([task]);
  expect(harness.emails).toEqual([]);
  expect(received).toHaveLength(1);
});

it('never sends a delivered notice again, however often its task arrives', async () => {
  const { harness, task } = await oneDelivery();
  expect(await harness.consume([task])).toEqual(['ack']);
  expect(await harness.consume([task, task])).toEqual(['ack', 'ack']);
  expect(received).toHaveLength(1);
});

it('sends once when the same task is consumed twice at the same time', async () => {
  const { harness, accountId, task } = await oneDelivery();
  const outcomes = await harness.consume([task, task]);
  expect(received).toHaveLength(1);
  // the second consumer retries later, in case the first one has died
  expect(outcomes.toSorted()).toEqual([30, 'ack']);
  expect((await logOf(accountId))[0]).toMatchObject({ state: 'delivered', attempts: 1 });
});

it('resumes a delivery whose isolate died while sending', async () => {
  const { harness, accountId, task } = await oneDelivery();
  vi.useFakeTimers({ toFake: ['Date'] });
  await harness.env.DB.prepare('UPDATE notice_delivery SET attempts = 1, next_at_ms = ? WHERE account_id = ?')
    .bind(Date.now() + 30_000, accountId)
    .run();
  const [waitS] = await harness.consume([task]);
  vi.useRealTimers();
  expect(waitS).toBeGreaterThan(28);
  expect(received).toEqual([]);
  await letTimePass(accountId);
  expect(await harness.consume([task])).toEqual(['ack']);
  expect((await logOf(accountId))[0]).toMatchObject({ state: 'delivered', attempts: 2 });
});

it('waits longer after each failure, gives up after three days, and records every attempt', async () => {
  const { harness, accountId, task } = await oneDelivery();
  vi.spyOn(Math, 'random').mockReturnValue(0);
  respond(500);
  const waits: (number | 'ack')[] = [];
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    waits.push(...(await harness.consume([task])));
    const [row] = await logOf(accountId);
    expect(row).toMatchObject({ attempts: attempt, last_status: 500, last_fault: 'status' });
    await letTimePass(accountId);
  }
  const hours = (h: number) => h * 3_600;
  expect(waits).toEqual([
    5,
    300,
    1_800,
    hours(2),
    hours(5),
    hours(10),
    hours(14),
    hours(20),
    hours(24),
    'ack',
  ]);
  expect((await logOf(accountId))[0]).toMatchObject({ state: 'failed', next_at_ms: null });
  expect(await harness.consume([task])).toEqual(['ack']);
  expect(received).toHaveLength(ATTEMPTS_MAX);
});

it('spreads retries of simultaneous failures, and delays by at most a day', () => {
  const dayMs = 86_400_000;
  expect(nextDelayMs(2, { random: 0 })).toBe(300_000);
  expect(nextDelayMs(2, { random: 1 })).toBe(270_000);
  expect(nextDelayMs(9, { random: 0, retryAfterMs: 10 * dayMs })).toBe(dayMs);
});

it('does not send before the next attempt is due', async () => {
  const { harness, task } = await oneDelivery();
  respond(500);
  await harness.consume([task]);
  const [waitS] = await harness.consume([task]);
  expect(waitS).toBeLessThanOrEqual(5);
  expect(received).toHaveLength(1);
});

it('records that no e-mail can be sent, and does not retry', async () => {
  for (const over of [WITHOUT_MAIL, { ...WITHOUT_MAIL, EMAIL: undefined }]) {
    const harness = new TaskHarness(over);
    const accountId = await newAccount();
    await raise(harness, accountId);
    expect(await harness.drain()).toEqual(['ack', 'ack']);
    expect(await logOf(accountId)).toMatchObject([
      { channel: 'email', state: 'failed', attempts: 1, last_fault: 'mail_not_configured', next_at_ms: null },
    ]);
  }
});

it.each([
  ['E_RATE_LIMIT_EXCEEDED', 'waiting', 'mail_unavailable'],
  ['E_DAILY_LIMIT_EXCEEDED', 'waiting', 'mail_unavailable'],
  ['', 'waiting', 'mail_unavailable'],
  ['E_SENDER_NOT_VERIFIED', 'failed', 'mail_sender_refused'],
  ['E_RECIPIENT_SUPPRESSED', 'failed', 'mail_recipient_refused'],
  ['E_VALIDATION_ERROR', 'failed', 'mail_refused'],
])('treats the mail service’s error %s as %s', async (code, state, fault) => {
  const harness = new TaskHarness();
  harness.emailFault = Object.assign(new Error('to ada@example.com'), code && { code });
  const accountId = await newAccount();
  await raise(harness, accountId);
  await harness.drain();
  expect(await logOf(accountId)).toMatchObject([{ state, last_fault: fault }]);
});

it('waits at most 15 seconds for the mail service', async () => {
  const harness = new TaskHarness({ EMAIL: { send: () => new Promise(() => undefined) } });
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => timeout(20));
  const accountId = await newAccount();
  await raise(harness, accountId);
  await harness.drain();
  expect(spy).toHaveBeenCalledWith(15_000);
  expect(await logOf(accountId)).toMatchObject([{ state: 'waiting', last_fault: 'mail_unavailable' }]);
});

it('writes an e-mail in both languages, with exact amounts and links, and without names that customers chose', async () => {
  const harness = new TaskHarness();
  const accountId = await newAccount();
  const key =
    "INSERT INTO api_key (id, account_id, name, hash, last_four, created_at_ms) VALUES (?, ?, ?, ?, 'wxyz', 1)";
  const keyId = 'key_00000000000000000000000001';
  await harness.env.DB.prepare(key).bind(keyId, accountId, 'BUY NOW http://evil.example', keyId).run();
  const notice = {
    kind: 'cap.used',
    keyId,
    percent: 90,
    spentNanoUsd: usd(9),
    capNanoUsd: usd(10),
    capPeriod: 'day',
  } as const;
  await raiseNotice(harness.env, { accountId, cause: 'cap', notice, nowMs: Date.now() });
  await harness.drain();
  const [email] = harness.emails;
  expect(email!.subject).toBe('Tollgate: 90% of a cap used / Plafond utilisé à 90\u00a0%');
  for (const text of [email!.text, email!.html]) {
    expect(text).toContain('$9.00');
    expect(text).toContain('wxyz');
    expect(text).toContain('https://tollgate.test/alerts');
    expect(text).toContain('dépensés');
    expect(text).not.toContain('evil');
  }
});

it('ends the delivery of a task that the queue gave up, unless another attempt is due later', async () => {
  const { harness, accountId, task } = await oneDelivery();
  respond(500);
  await harness.consume([task]);
  expect(await harness.consume([task], { name: FAILED_QUEUE })).toEqual(['ack']);
  expect((await logOf(accountId))[0]).toMatchObject({ state: 'waiting' });
  await letTimePass(accountId);
  expect(await harness.consume([task], { name: FAILED_QUEUE })).toEqual(['ack']);
  expect((await logOf(accountId))[0]).toMatchObject({ state: 'failed', last_fault: 'given_up' });
});

it('finds only the addresses of its own account', async () => {
  const addressesOf = (accountId: string) => noticeAddresses(db, { accountId, roles: ['owner'] });
  const [one, other] = [await newAccount(), await newAccount()];
  const [a, b] = [await addressesOf(one), await addressesOf(other)];
  expect(a).toHaveLength(1);
  expect(a).not.toEqual(b);
});

const unconfirm = (email: string) =>
  bindings.DB.prepare('UPDATE person SET email_verified = 0 WHERE email = ?').bind(email).run();

it('no alert goes to an address that is not confirmed, nor to one whose person has left in between', async () => {
  const harness = new TaskHarness();
  const [owner, billing] = ['o', 'b'].map((name) => `${name}-${crypto.randomUUID()}@x.example`) as [
    string,
    string,
  ];
  const accountId = await newAccount({ owner, billing });
  await unconfirm(owner);
  await raise(harness, accountId);
  await harness.consume(harness.tasks.splice(0));
  expect(await logOf(accountId)).toMatchObject([{ target: billing, state: 'waiting' }]);
  await bindings.DB.prepare("DELETE FROM member WHERE account_id = ? AND role = 'billing'")
    .bind(accountId)
    .run();
  await harness.drain();
  expect(harness.emails).toEqual([]);
  expect(await logOf(accountId)).toMatchObject([{ state: 'failed', last_fault: 'mail_not_for_address' }]);
});

it('one inbox gets a bounded number of alerts, whichever accounts and spellings they come to; the rest later', async () => {
  const harness = new TaskHarness();
  const name = crypto.randomUUID();
  const accounts = await Promise.all(
    ['', '+a', '+b'].map((label) => newAccount({ owner: `${name}${label}@x.example` })),
  );
  const each = RATE_RULES.notice_email.count / 2;
  for (const accountId of accounts)
    for (let i = 0; i < each; i++) await raise(harness, accountId, `cause ${i}`);
  const outcomes = await harness.drain();
  expect(harness.emails).toHaveLength(RATE_RULES.notice_email.count);
  expect(outcomes.filter((outcome) => outcome !== 'ack')).toHaveLength(each);
  const late = (await logOf(accounts[2]!)).filter(({ state }) => state === 'waiting');
  expect(new Set(late.map(({ last_fault }) => last_fault))).toEqual(new Set(['mail_limited']));
  expect(late).toHaveLength(each);
});

describe('an account e-mail', () => {
  const url = 'https://tollgate.test/x';
  const send = async (harness: TaskHarness, to: string, post: AccountEmail) => {
    await sendAccountEmail(harness.env, { to, locale: 'en', post }, Date.now());
    return harness.consume(harness.tasks.splice(0));
  };
  const receipt = (n: number): AccountEmail => ({
    ...{ kind: 'receipt', url, invoice: `TG-${n}`, amountNanoUsd: usd(20) },
  });

  it.each([
    [{ kind: 'verify', url }, 1],
    [{ kind: 'reset', url }, 1],
    [{ kind: 'sign_in', url }, 1],
    [{ kind: 'invitation', url, role: 'viewer', accountName: 'A' }, 1],
    [{ kind: 'sign_in_changed', what: 'password', url }, 0],
    [receipt(1), 0],
  ] as [AccountEmail, number][])('%o to an unconfirmed address: %i', async (post, sent) => {
    const harness = new TaskHarness();
    const owner = `${crypto.randomUUID()}@x.example`;
    await newAccount({ owner });
    await unconfirm(owner);
    await send(harness, owner, post);
    expect(harness.emails).toHaveLength(sent);
    await bindings.DB.prepare('UPDATE person SET email_verified = 1 WHERE email = ?').bind(owner).run();
    await send(harness, owner, post);
    expect(harness.emails).toHaveLength(sent + 1);
  });

  it('a receipt beyond the limit of its inbox comes later', async () => {
    const harness = new TaskHarness();
    const owner = `${crypto.randomUUID()}@x.example`;
    await newAccount({ owner });
    for (let n = 1; n <= RATE_RULES.receipt_email.count; n++)
      expect(await send(harness, owner, receipt(n))).toEqual(['ack']);
    const [waitS] = await send(harness, owner, receipt(0));
    expect(waitS).toBeGreaterThan(0);
    expect(harness.emails).toHaveLength(RATE_RULES.receipt_email.count);
  });
});
