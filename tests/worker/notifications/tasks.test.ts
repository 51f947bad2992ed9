import { expect, it, vi } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import worker from '../../../worker/index.ts';
import { raiseNotice } from '../../../worker/notifications/raise.ts';
import { Desk, LOW, newAccount } from './fixtures.ts';
import { received } from './receiver.ts';

const SECRET = 'what a stranger wrote';

it('is the Worker’s consumer', () => {
  expect(Object.keys(worker)).toEqual(expect.arrayContaining(['fetch', 'queue']));
});

it.each([
  null,
  'notify',
  42,
  [],
  {},
  { kind: SECRET },
  { kind: 'toString' },
  { kind: 'notify' },
  { kind: 'notify', noticeId: { id: SECRET } },
  { kind: 'deliver', deliveryId: "dlv_' OR 1=1 --" },
  { kind: 'recharge', accountId: 'dlv_00000000000000000000000000' },
])('acknowledges %j, which is no task, and logs none of it', async (body) => {
  const log = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  expect(await new Desk().hand([body])).toEqual(['ack']);
  expect(log).toHaveBeenCalledTimes(1);
  expect(String(log.mock.calls)).toContain('task_unknown');
  expect(String(log.mock.calls)).not.toContain(SECRET);
});

it('lets neither poison nor failure keep another message waiting', async () => {
  const log = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const desk = new Desk();
  const accountId = await newAccount();
  await desk.endpoint(accountId);
  await raiseNotice(desk.env, { accountId, cause: 'test', notice: LOW, nowMs: Date.now() });
  const [good] = desk.tasks.splice(0);
  const missing = { kind: 'notify', noticeId: 'note_00000000000000000000000000' };
  expect(await desk.hand([{ kind: 'nonsense' }, missing, good])).toEqual(['ack', 10, 'ack']);
  expect(String(log.mock.calls)).toContain('task_failed');
  await desk.drain();
  expect(received).toHaveLength(1);
});

it('waits longer for a task that goes on failing, at most an hour', async () => {
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const desk = new Desk();
  const missing = { kind: 'notify', noticeId: 'note_00000000000000000000000000' };
  const waits = await Promise.all([1, 2, 5, 20].map((attempts) => desk.hand([missing], { attempts })));
  expect(waits.flat()).toEqual([10, 20, 160, 3_600]);
});

it('acknowledges a delivery that is not there', async () => {
  const task = { kind: 'deliver', deliveryId: 'dlv_00000000000000000000000000' };
  expect(await new Desk().hand([task])).toEqual(['ack']);
});

it('does a recharge, and comes back to one that is under way', async () => {
  const desk = new Desk();
  const accountId = await newAccount();
  const task = { kind: 'recharge', accountId };
  expect(await desk.hand([task])).toEqual(['ack']);
  await desk.env.DB.prepare(
    "INSERT INTO payment_order (id, account_id, provider, kind, amount_nano_usd, currency, state, created_at_ms) VALUES (?, ?, 'sandbox', 'recharge', 1, 'USD', 'open', ?)",
  )
    .bind(newId('order', Date.now()), accountId, Date.now())
    .run();
  const [waitS] = await desk.hand([task]);
  expect(waitS).toBeGreaterThan(60);
  expect(waitS).toBeLessThanOrEqual(120);
});
