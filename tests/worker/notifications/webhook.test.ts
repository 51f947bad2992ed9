import { createHmac } from 'node:crypto';
import { expect, it, vi } from 'vitest';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import type { Notice } from '../../../worker/domain/notice.ts';
import { verifyWebhookSignature } from '../../../worker/lib/standard-webhooks.ts';
import { raiseNotice } from '../../../worker/notifications/raise.ts';
import { rotateEndpoint } from '../../../worker/notifications/webhook/endpoints.ts';
import { Desk, LOW, letTimePass, logOf, newAccount, WITHOUT_MAIL } from './fixtures.ts';
import { answer, chunksRead, hugeBody, type Received, received } from './receiver.ts';

const noMail = WITHOUT_MAIL;

/** The account of a desk without e-mail, with one endpoint. */
async function oneEndpoint() {
  const desk = new Desk(noMail);
  const accountId = await newAccount();
  return { desk, accountId, endpoint: await desk.endpoint(accountId) };
}

async function raised(over: { notice?: Notice; nowMs?: number } = {}) {
  const setUp = await oneEndpoint();
  const { desk, accountId } = setUp;
  const request = { accountId, cause: 'test', notice: LOW, nowMs: Date.now(), ...over };
  await raiseNotice(desk.env, request);
  await desk.drain();
  const [delivery] = (await logOf(accountId)).filter(({ channel }) => channel === 'webhook');
  return { ...setUp, delivery: delivery! };
}

/** As a receiver does with the specification in hand, in another language's library. */
function signature(secret: string, { headers, body }: Received): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const text = `${headers.get('webhook-id')}.${headers.get('webhook-timestamp')}.${Buffer.from(body)}`;
  return `v1,${createHmac('sha256', key).update(text).digest('base64')}`;
}

it('signs as Standard Webhooks says, with a secret of at least 24 bytes', async () => {
  const { endpoint, delivery } = await raised();
  expect(endpoint.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  const [got] = received;
  expect(got!.url).toBe(endpoint.url);
  expect(got!.headers.get('webhook-id')).toBe(delivery.id);
  expect(got!.headers.get('content-type')).toBe('application/json');
  expect(got!.headers.get('webhook-signature')).toBe(signature(endpoint.secret, got!));
  const verdict = await verifyWebhookSignature(endpoint.secret, { ...got!, nowMs: Date.now() });
  expect(verdict).toEqual({ ok: true, id: delivery.id });
  expect(delivery).toMatchObject({ state: 'delivered', attempts: 1, last_status: 204, next_at_ms: null });
});

it('says type, time and facts, amounts exactly and twice', async () => {
  const atMs = Date.UTC(2026, 10, 1);
  const notice: Notice = {
    kind: 'cap.used',
    keyId: null,
    percent: 90,
    spentNanoUsd: nanoUsd(9_007_199_254_740_991),
    capNanoUsd: usd(25),
    capPeriod: 'month',
  };
  const { accountId } = await raised({ notice, nowMs: atMs });
  const body = JSON.parse(new TextDecoder().decode(received[0]!.body));
  expect(body).toEqual({
    type: 'cap.used',
    timestamp: '2026-11-01T00:00:00.000Z',
    data: {
      account_id: accountId,
      notice_id: expect.stringMatching(/^note_/),
      key_id: null,
      percent: 90,
      spent_nano_usd: 9_007_199_254_740_991,
      spent_usd: '9007199.254740991',
      cap_nano_usd: 25_000_000_000,
      cap_usd: '25.00',
      cap_period: 'month',
    },
  });
});

it('signs with the new secret and the one before it after a rotation, and with no older one', async () => {
  const { desk, accountId, endpoint } = await oneEndpoint();
  const which = { accountId, endpointId: endpoint.id };
  const second = await rotateEndpoint(desk.env, which);
  await raiseNotice(desk.env, { accountId, cause: 'a', notice: LOW, nowMs: Date.now() });
  await desk.drain();
  const third = await rotateEndpoint(desk.env, which);
  await raiseNotice(desk.env, { accountId, cause: 'b', notice: LOW, nowMs: Date.now() });
  await desk.drain();
  const believed = async (secret: string, got: Received) =>
    (await verifyWebhookSignature(secret, { ...got, nowMs: Date.now() })).ok;
  const secrets = [endpoint.secret, second!.secret, third!.secret];
  expect(new Set(secrets).size).toBe(3);
  expect(await Promise.all(secrets.map((each) => believed(each, received[0]!)))).toEqual([true, true, false]);
  expect(await Promise.all(secrets.map((each) => believed(each, received[1]!)))).toEqual([false, true, true]);
});

it.each([
  [200, 'delivered', null, false],
  [299, 'delivered', null, false],
  [400, 'waiting', 'status', true],
  [404, 'waiting', 'status', true],
  [500, 'waiting', 'status', true],
])('takes a %i for %s', async (status, state, fault, again) => {
  answer(status);
  const { delivery } = await raised();
  expect(delivery).toMatchObject({ state, attempts: 1, last_status: status, last_fault: fault });
  expect(delivery.next_at_ms !== null).toBe(again);
});

it('removes the endpoint at a 410, and sends it nothing more', async () => {
  answer(410);
  const { desk, accountId, delivery } = await raised();
  expect(delivery).toMatchObject({ state: 'failed', last_status: 410, last_fault: 'gone', next_at_ms: null });
  answer(200);
  await raiseNotice(desk.env, { accountId, cause: 'another', notice: LOW, nowMs: Date.now() });
  await desk.drain();
  expect(received).toHaveLength(1);
});

it('does not follow a redirect', async () => {
  answer(({ url }) =>
    url.startsWith('https://hooks.example.com')
      ? new Response(null, { status: 307, headers: { location: 'http://169.254.169.254/' } })
      : new Response('secrets'),
  );
  const { delivery } = await raised();
  expect(received).toHaveLength(1);
  expect(delivery).toMatchObject({ state: 'waiting', last_status: 307, last_fault: 'redirect' });
});

it('waits 15 seconds for an answer and not longer', async () => {
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => timeout(20));
  answer(() => 'hang');
  const { delivery } = await raised();
  expect(spy).toHaveBeenCalledWith(15_000);
  expect(delivery).toMatchObject({ state: 'waiting', last_status: null, last_fault: 'timeout' });
});

it('tries again when nobody is there', async () => {
  answer(() => 'refuse');
  const { delivery } = await raised();
  expect(delivery).toMatchObject({ state: 'waiting', last_status: null, last_fault: 'unreachable' });
});

it('reads nothing of an answer, however much it is', async () => {
  answer(() => new Response(hugeBody(), { status: 200 }));
  const { delivery } = await raised();
  expect(delivery.state).toBe('delivered');
  expect(chunksRead).toBeLessThanOrEqual(1);
});

it('waits as long as the receiver asks, but not past the queue’s patience', async () => {
  const asked = async (retryAfter: string) => {
    answer(() => new Response(null, { status: 503, headers: { 'retry-after': retryAfter } }));
    const { delivery } = await raised();
    return Math.round((delivery.next_at_ms! - Date.now()) / 60_000);
  };
  expect(await asked('1800')).toBe(30);
  expect(await asked('99999999')).toBe(4 * 60);
  expect(await asked('-5')).toBe(0);
  expect(await asked('tomorrow')).toBe(0);
});

it('checks the address again when it sends', async () => {
  const { desk, accountId, endpoint } = await oneEndpoint();
  await desk.env.DB.prepare('UPDATE webhook_endpoint SET url = ? WHERE id = ?')
    .bind('https://169.254.169.254/', endpoint.id)
    .run();
  await raiseNotice(desk.env, { accountId, cause: 'test', notice: LOW, nowMs: Date.now() });
  await desk.drain();
  expect(received).toEqual([]);
  const log = await logOf(accountId);
  expect(log.find(({ channel }) => channel === 'webhook')).toMatchObject({
    state: 'failed',
    last_fault: 'address_refused',
  });
});

it('keeps its id and gets a new time at each attempt', async () => {
  answer(500);
  const { desk, accountId, delivery } = await raised();
  await letTimePass(accountId);
  vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 60_000);
  answer(200);
  await desk.hand([{ kind: 'deliver', deliveryId: delivery.id }]);
  const [first, second] = received.map(({ headers }) => headers);
  expect(second!.get('webhook-id')).toBe(first!.get('webhook-id'));
  expect(second!.get('webhook-timestamp')).not.toBe(first!.get('webhook-timestamp'));
});
