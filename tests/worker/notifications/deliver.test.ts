import { expect, it, vi } from 'vitest';
import { noticeAddresses, saveNoticeSetting } from '../../../worker/db/notices.ts';
import { removeEndpoint } from '../../../worker/db/webhook-endpoints.ts';
import { usd } from '../../../worker/domain/money.ts';
import { raiseNotice } from '../../../worker/notifications/raise.ts';
import { ATTEMPTS_MAX, nextDelayMs } from '../../../worker/notifications/retry-schedule.ts';
import { FAILED_QUEUE } from '../../../worker/queue.ts';
import { TaskHarness, db, LOW_BALANCE, letTimePass, logOf, newAccount, WITHOUT_MAIL } from './fixtures.ts';
import { respond, received } from './receiver.ts';

const raise = (desk: TaskHarness, accountId: string, cause = 'test') =>
  raiseNotice(desk.env, { accountId, cause, notice: LOW_BALANCE, nowMs: Date.now() });

/** An account with one endpoint and no e-mail, and the task of its one delivery. */
async function oneDelivery(desk = new TaskHarness()) {
  const accountId = await newAccount();
  await saveNoticeSetting(db, { accountId, lowBalanceNanoUsd: null, capPercents: [], byEmail: false });
  const endpoint = await desk.endpoint(accountId);
  await raise(desk, accountId);
  await desk.consume(desk.tasks.splice(0));
  const [task] = desk.tasks.splice(0);
  return { desk, accountId, endpoint, task: task! };
}

it('tells owners, billing members and every live endpoint, nobody else, once each', async () => {
  const desk = new TaskHarness();
  const [owner, billing, developer] = ['o', 'b', 'd'].map((who) => `${who}-${crypto.randomUUID()}@x.example`);
  const accountId = await newAccount({ owner, billing, developer });
  await newAccount({ owner: `${crypto.randomUUID()}@y.example` });
  const [first, second, gone] = [
    await desk.endpoint(accountId),
    await desk.endpoint(accountId),
    await desk.endpoint(accountId),
  ];
  await removeEndpoint(db, { accountId, endpointId: gone.id, nowMs: Date.now() });
  await raise(desk, accountId);
  await raise(desk, accountId);
  await desk.drain();
  await raise(desk, accountId);
  await desk.drain();
  expect(desk.emails.map(({ to }) => to).sort()).toEqual([billing, owner].sort());
  expect(received.map(({ url }) => url).sort()).toEqual([first.url, second.url].sort());
  expect((await logOf(accountId)).map(({ state }) => state)).toEqual(Array(4).fill('delivered'));
});

it('is one notice for one cause, and another for another cause or account', async () => {
  const desk = new TaskHarness();
  const [mine, other] = [await newAccount(), await newAccount()];
  await raise(desk, mine);
  await raise(desk, mine);
  await raise(desk, mine, 'something else');
  await raise(desk, other);
  const ids = desk.tasks.map((task) => task.kind === 'notify' && task.noticeId);
  expect(ids[0]).toBe(ids[1]);
  expect(new Set(ids).size).toBe(3);
});

it('sends no e-mail where the account wants none', async () => {
  const { desk, task } = await oneDelivery();
  await desk.consume([task]);
  expect(desk.emails).toEqual([]);
  expect(received).toHaveLength(1);
});

it('never sends again what is delivered, however often the task comes', async () => {
  const { desk, task } = await oneDelivery();
  expect(await desk.consume([task])).toEqual(['ack']);
  expect(await desk.consume([task, task])).toEqual(['ack', 'ack']);
  expect(received).toHaveLength(1);
});

it('sends once when the same task is taken twice at the same time', async () => {
  const { desk, accountId, task } = await oneDelivery();
  const answers = await desk.consume([task, task]);
  expect(received).toHaveLength(1);
  // the loser comes back to see whether the winner came through
  expect(answers.toSorted()).toEqual([30, 'ack']);
  expect((await logOf(accountId))[0]).toMatchObject({ state: 'delivered', attempts: 1 });
});

it('takes up what an isolate left behind that died while it sent', async () => {
  const { desk, accountId, task } = await oneDelivery();
  vi.useFakeTimers({ toFake: ['Date'] });
  await desk.env.DB.prepare('UPDATE notice_delivery SET attempts = 1, next_at_ms = ? WHERE account_id = ?')
    .bind(Date.now() + 30_000, accountId)
    .run();
  const [waitS] = await desk.consume([task]);
  vi.useRealTimers();
  expect(waitS).toBeGreaterThan(28);
  expect(received).toEqual([]);
  await letTimePass(accountId);
  expect(await desk.consume([task])).toEqual(['ack']);
  expect((await logOf(accountId))[0]).toMatchObject({ state: 'delivered', attempts: 2 });
});

it('waits longer after each failure, gives up after three days, and records every attempt', async () => {
  const { desk, accountId, task } = await oneDelivery();
  vi.spyOn(Math, 'random').mockReturnValue(0);
  respond(500);
  const waits: (number | 'ack')[] = [];
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    waits.push(...(await desk.consume([task])));
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
  expect(await desk.consume([task])).toEqual(['ack']);
  expect(received).toHaveLength(ATTEMPTS_MAX);
});

it('spreads what failed together, and asks the queue for no more than a day', () => {
  const dayMs = 86_400_000;
  expect(nextDelayMs(2, { random: 0 })).toBe(300_000);
  expect(nextDelayMs(2, { random: 1 })).toBe(270_000);
  expect(nextDelayMs(9, { random: 0, retryAfterMs: 10 * dayMs })).toBe(dayMs);
});

it('does not send before its time, whoever asks', async () => {
  const { desk, task } = await oneDelivery();
  respond(500);
  await desk.consume([task]);
  const [waitS] = await desk.consume([task]);
  expect(waitS).toBeLessThanOrEqual(5);
  expect(received).toHaveLength(1);
});

it('says so when no e-mail can be sent, and tries no more', async () => {
  for (const over of [WITHOUT_MAIL, { ...WITHOUT_MAIL, EMAIL: undefined }]) {
    const desk = new TaskHarness(over);
    const accountId = await newAccount();
    await raise(desk, accountId);
    expect(await desk.drain()).toEqual(['ack', 'ack']);
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
])('takes %s of the mail service for %s', async (code, state, fault) => {
  const desk = new TaskHarness();
  desk.emailFault = Object.assign(new Error('to ada@example.com'), code && { code });
  const accountId = await newAccount();
  await raise(desk, accountId);
  await desk.drain();
  expect(await logOf(accountId)).toMatchObject([{ state, last_fault: fault }]);
});

it('does not wait for ever for the mail service', async () => {
  const desk = new TaskHarness({ EMAIL: { send: () => new Promise(() => undefined) } });
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => timeout(20));
  const accountId = await newAccount();
  await raise(desk, accountId);
  await desk.drain();
  expect(spy).toHaveBeenCalledWith(15_000);
  expect(await logOf(accountId)).toMatchObject([{ state: 'waiting', last_fault: 'mail_unavailable' }]);
});

it('writes a letter in both languages, exact, with links, and without names that customers chose', async () => {
  const desk = new TaskHarness();
  const accountId = await newAccount();
  const key =
    "INSERT INTO api_key (id, account_id, name, hash, last_four, created_at_ms) VALUES (?, ?, ?, ?, 'wxyz', 1)";
  const keyId = 'key_00000000000000000000000001';
  await desk.env.DB.prepare(key).bind(keyId, accountId, 'BUY NOW http://evil.example', keyId).run();
  const notice = {
    kind: 'cap.used',
    keyId,
    percent: 90,
    spentNanoUsd: usd(9),
    capNanoUsd: usd(10),
    capPeriod: 'day',
  } as const;
  await raiseNotice(desk.env, { accountId, cause: 'cap', notice, nowMs: Date.now() });
  await desk.drain();
  const [letter] = desk.emails;
  expect(letter!.subject).toBe('Tollgate: 90% of a cap used / Plafond utilisé à 90\u00a0%');
  for (const text of [letter!.text, letter!.html]) {
    expect(text).toContain('$9.00');
    expect(text).toContain('wxyz');
    expect(text).toContain('https://tollgate.test/alerts');
    expect(text).toContain('dépensés');
    expect(text).not.toContain('evil');
  }
});

it('ends the delivery of a task that the queue gave up, but none that has an attempt ahead', async () => {
  const { desk, accountId, task } = await oneDelivery();
  respond(500);
  await desk.consume([task]);
  expect(await desk.consume([task], { name: FAILED_QUEUE })).toEqual(['ack']);
  expect((await logOf(accountId))[0]).toMatchObject({ state: 'waiting' });
  await letTimePass(accountId);
  expect(await desk.consume([task], { name: FAILED_QUEUE })).toEqual(['ack']);
  expect((await logOf(accountId))[0]).toMatchObject({ state: 'failed', last_fault: 'given_up' });
});

it('knows only the addresses of its own account', async () => {
  const [mine, other] = [await newAccount(), await newAccount()];
  const [a, b] = [await noticeAddresses(db, mine), await noticeAddresses(db, other)];
  expect(a).toHaveLength(1);
  expect(a).not.toEqual(b);
});
