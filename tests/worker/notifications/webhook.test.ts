/** Webhook deliveries: signatures, bodies, secret rotation, and the treatment of every kind of response. */
import { createHmac } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { nanoUsd, usd } from '../../../worker/domain/money.ts';
import type { Notice } from '../../../worker/domain/notice.ts';
import { verifyWebhookSignature } from '../../../worker/lib/standard-webhooks.ts';
import { raiseNotice } from '../../../worker/notifications/raise.ts';
import { rotateEndpoint } from '../../../worker/notifications/webhook/endpoints.ts';
import { LOW_BALANCE, letTimePass, logOf, newAccount, TaskHarness, WITHOUT_MAIL } from './fixtures.ts';
import { chunksRead, hugeBody, type Received, received, respond } from './receiver.ts';

/** A harness without e-mail, and an account with one endpoint. */
async function oneEndpoint() {
  const harness = new TaskHarness(WITHOUT_MAIL);
  const accountId = await newAccount();
  return { harness, accountId, endpoint: await harness.endpoint(accountId) };
}

async function raised(over: { notice?: Notice; nowMs?: number } = {}) {
  const setUp = await oneEndpoint();
  const { harness, accountId } = setUp;
  const request = { accountId, cause: 'test', notice: LOW_BALANCE, nowMs: Date.now(), ...over };
  await raiseNotice(harness.env, request);
  await harness.drain();
  const [delivery] = (await logOf(accountId)).filter(({ channel }) => channel === 'webhook');
  return { ...setUp, delivery: delivery! };
}

/** The signature as a receiver computes it from the specification, with an independent library. */
function signature(secret: string, { headers, body }: Received): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const text = `${headers.get('webhook-id')}.${headers.get('webhook-timestamp')}.${Buffer.from(body)}`;
  return `v1,${createHmac('sha256', key).update(text).digest('base64')}`;
}

it('signs according to Standard Webhooks, with a secret of at least 24 bytes', async () => {
  const { endpoint, delivery } = await raised();
  expect(endpoint.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  const [request] = received;
  expect(request!.url).toBe(endpoint.url);
  expect(request!.headers.get('webhook-id')).toBe(delivery.id);
  expect(request!.headers.get('content-type')).toBe('application/json');
  expect(request!.headers.get('webhook-signature')).toBe(signature(endpoint.secret, request!));
  const verdict = await verifyWebhookSignature([endpoint.secret], { ...request!, nowMs: Date.now() });
  expect(verdict).toEqual({ ok: true, id: delivery.id });
  expect(delivery).toMatchObject({ state: 'delivered', attempts: 1, last_status: 204, next_at_ms: null });
});

it('sends type, time and data, with exact amounts as integers and as strings', async () => {
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
  const { harness, accountId, endpoint } = await oneEndpoint();
  const selected = { accountId, endpointId: endpoint.id, nowMs: Date.now() };
  const second = await rotateEndpoint(harness.env, selected);
  await raiseNotice(harness.env, { accountId, cause: 'a', notice: LOW_BALANCE, nowMs: Date.now() });
  await harness.drain();
  const third = await rotateEndpoint(harness.env, selected);
  await raiseNotice(harness.env, { accountId, cause: 'b', notice: LOW_BALANCE, nowMs: Date.now() });
  await harness.drain();
  const isValid = async (secret: string, request: Received) =>
    (await verifyWebhookSignature([secret], { ...request, nowMs: Date.now() })).ok;
  const secrets = [endpoint.secret, second!.secret, third!.secret];
  expect(new Set(secrets).size).toBe(3);
  expect(await Promise.all(secrets.map((each) => isValid(each, received[0]!)))).toEqual([true, true, false]);
  expect(await Promise.all(secrets.map((each) => isValid(each, received[1]!)))).toEqual([false, true, true]);
});

it.each([
  [200, 'delivered', null, false],
  [299, 'delivered', null, false],
  [400, 'waiting', 'status', true],
  [404, 'waiting', 'status', true],
  [500, 'waiting', 'status', true],
])('treats a %i as %s', async (status, state, fault, isRetried) => {
  respond(status);
  const { delivery } = await raised();
  expect(delivery).toMatchObject({ state, attempts: 1, last_status: status, last_fault: fault });
  expect(delivery.next_at_ms !== null).toBe(isRetried);
});

it('removes the endpoint after a 410, and sends it nothing more', async () => {
  respond(410);
  const { harness, accountId, delivery } = await raised();
  expect(delivery).toMatchObject({ state: 'failed', last_status: 410, last_fault: 'gone', next_at_ms: null });
  respond(200);
  await raiseNotice(harness.env, { accountId, cause: 'another', notice: LOW_BALANCE, nowMs: Date.now() });
  await harness.drain();
  expect(received).toHaveLength(1);
});

it('does not follow a redirect', async () => {
  respond(({ url }) =>
    url.startsWith('https://hooks.example.com')
      ? new Response(null, { status: 307, headers: { location: 'http://169.254.169.254/' } })
      : new Response('secrets'),
  );
  const { delivery } = await raised();
  expect(received).toHaveLength(1);
  expect(delivery).toMatchObject({ state: 'waiting', last_status: 307, last_fault: 'redirect' });
});

it('waits at most 15 seconds for a response', async () => {
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => timeout(20));
  respond(() => 'hang');
  const { delivery } = await raised();
  expect(spy).toHaveBeenCalledWith(15_000);
  expect(delivery).toMatchObject({ state: 'waiting', last_status: null, last_fault: 'timeout' });
});

it('retries when the server is unreachable', async () => {
  respond(() => 'refuse');
  const { delivery } = await raised();
  expect(delivery).toMatchObject({ state: 'waiting', last_status: null, last_fault: 'unreachable' });
});

it('does not read the response body, however large it is', async () => {
  respond(() => new Response(hugeBody(), { status: 200 }));
  const { delivery } = await raised();
  expect(delivery.state).toBe('delivered');
  expect(chunksRead).toBeLessThanOrEqual(1);
});

it('honours Retry-After up to a limit', async () => {
  const delayMinutes = async (retryAfter: string) => {
    respond(() => new Response(null, { status: 503, headers: { 'retry-after': retryAfter } }));
    const { delivery } = await raised();
    return Math.round((delivery.next_at_ms! - Date.now()) / 60_000);
  };
  expect(await delayMinutes('1800')).toBe(30);
  expect(await delayMinutes('99999999')).toBe(4 * 60);
  expect(await delayMinutes('-5')).toBe(0);
  expect(await delayMinutes('tomorrow')).toBe(0);
});

it('checks the URL again before it sends', async () => {
  const { harness, accountId, endpoint } = await oneEndpoint();
  await harness.env.DB.prepare('UPDATE webhook_endpoint SET url = ? WHERE id = ?')
    .bind('https://169.254.169.254/', endpoint.id)
    .run();
  await raiseNotice(harness.env, { accountId, cause: 'test', notice: LOW_BALANCE, nowMs: Date.now() });
  await harness.drain();
  expect(received).toEqual([]);
  const log = await logOf(accountId);
  expect(log.find(({ channel }) => channel === 'webhook')).toMatchObject({
    state: 'failed',
    last_fault: 'address_refused',
  });
});

it('keeps its id and gets a new timestamp at each attempt', async () => {
  respond(500);
  const { harness, accountId, delivery } = await raised();
  await letTimePass(accountId);
  vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 60_000);
  respond(200);
  await harness.consume([{ kind: 'deliver', deliveryId: delivery.id }]);
  const [first, second] = received.map(({ headers }) => headers);
  expect(second!.get('webhook-id')).toBe(first!.get('webhook-id'));
  expect(second!.get('webhook-timestamp')).not.toBe(first!.get('webhook-timestamp'));
});

describe('a day after a rotation', () => {
  const DAY_MS = 86_400_000;

  async function rotated() {
    const { harness, accountId, endpoint } = await oneEndpoint();
    const which = { accountId, endpointId: endpoint.id, nowMs: Date.now() };
    const { secret } = (await rotateEndpoint(harness.env, which))!;
    const age = (ms: number) =>
      harness.env.DB.prepare(
        'UPDATE webhook_secret SET created_at_ms = created_at_ms - ? WHERE endpoint_id = ? AND version = 2',
      )
        .bind(ms, endpoint.id)
        .run();
    let notices = 0;
    /** Whether the next webhook is signed with the new secret, and with the old one. */
    const signedBy = async () => {
      received.splice(0);
      const cause = `notice ${notices++}`;
      await raiseNotice(harness.env, { accountId, cause, notice: LOW_BALANCE, nowMs: Date.now() });
      await harness.drain();
      const [request] = received;
      const signatures = request!.headers.get('webhook-signature')!.split(' ');
      return [secret, endpoint.secret].map((each) => signatures.includes(signature(each, request!)));
    };
    return { harness, endpoint, age, signedBy };
  }

  it('the secret before it signs no more', async () => {
    const { age, signedBy } = await rotated();
    await age(DAY_MS - 60_000);
    expect(await signedBy()).toEqual([true, true]);
    await age(60_000);
    expect(await signedBy()).toEqual([true, false]);
  });

  it('also one that was rotated before secrets were stored, a day after its next webhook', async () => {
    const { harness, endpoint, age, signedBy } = await rotated();
    await harness.env.DB.prepare('DELETE FROM webhook_secret WHERE endpoint_id = ?').bind(endpoint.id).run();
    expect(await signedBy()).toEqual([true, true]);
    await age(DAY_MS);
    expect(await signedBy()).toEqual([true, false]);
  });
});
