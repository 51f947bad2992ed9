/** The consumer of the task queue: unknown tasks, failures and retries. */
import { expect, it, vi } from 'vitest';
import { newId } from '../../../worker/domain/ids.ts';
import worker from '../../../worker/index.ts';
import { raiseNotice } from '../../../worker/notifications/raise.ts';
import { LOW_BALANCE, newAccount, TaskHarness } from './fixtures.ts';
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
  expect(await new TaskHarness().consume([body])).toEqual(['ack']);
  expect(log).toHaveBeenCalledTimes(1);
  expect(String(log.mock.calls)).toContain('task_unknown');
  expect(String(log.mock.calls)).not.toContain(SECRET);
});

it('lets neither an invalid nor a failing task hold up another message', async () => {
  const log = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const harness = new TaskHarness();
  const accountId = await newAccount();
  await harness.endpoint(accountId);
  await raiseNotice(harness.env, { accountId, cause: 'test', notice: LOW_BALANCE, nowMs: Date.now() });
  const [good] = harness.tasks.splice(0);
  const missing = { kind: 'notify', noticeId: 'note_00000000000000000000000000' };
  expect(await harness.consume([{ kind: 'nonsense' }, missing, good])).toEqual(['ack', 10, 'ack']);
  expect(String(log.mock.calls)).toContain('task_failed');
  await harness.drain();
  expect(received).toHaveLength(1);
});

it('retries a task that keeps failing after growing delays, at most an hour', async () => {
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const harness = new TaskHarness();
  const missing = { kind: 'notify', noticeId: 'note_00000000000000000000000000' };
  const waits = await Promise.all([1, 2, 5, 20].map((attempts) => harness.consume([missing], { attempts })));
  expect(waits.flat()).toEqual([10, 20, 160, 3_600]);
});

it('acknowledges a delivery that does not exist', async () => {
  const task = { kind: 'deliver', deliveryId: 'dlv_00000000000000000000000000' };
  expect(await new TaskHarness().consume([task])).toEqual(['ack']);
});

it('runs a recharge, and retries while one is under way', async () => {
  const harness = new TaskHarness();
  const accountId = await newAccount();
  const task = { kind: 'recharge', accountId };
  expect(await harness.consume([task])).toEqual(['ack']);
  await harness.env.DB.prepare(
    "INSERT INTO payment_order (id, account_id, provider, kind, amount_nano_usd, currency, state, created_at_ms) VALUES (?, ?, 'sandbox', 'recharge', 1, 'USD', 'open', ?)",
  )
    .bind(newId('order', Date.now()), accountId, Date.now())
    .run();
  const [waitS] = await harness.consume([task]);
  expect(waitS).toBeGreaterThan(60);
  expect(waitS).toBeLessThanOrEqual(120);
});
