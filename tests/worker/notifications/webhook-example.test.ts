/** The example of docs/api.md verifies a webhook as it is sent, where a request is a `Request`: in workerd, and in Hono there. */
import { Hono } from 'hono';
import { expect, it } from 'vitest';
import { signWebhook } from '../../../worker/lib/standard-webhooks.ts';
import { webhookEvent } from '../../examples/webhook-event.ts';

const SECRET = `whsec_${btoa('0123456789abcdef0123456789abcdef')}`;
const EVENT = { type: 'balance.low', data: { balance_usd: '4.99', city: 'Orléans' } };

async function webhook(secret = SECRET): Promise<Request> {
  const body = JSON.stringify(EVENT);
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const headers = await signWebhook(secret, {
    ...{ id: 'msg_1', timestamp, body: new TextEncoder().encode(body) },
  });
  return new Request('https://shop.example/hooks', { method: 'POST', headers, body });
}

it('reads the event of a request', async () => {
  expect(await webhookEvent(await webhook(), SECRET)).toEqual(EVENT);
});

it('throws at another secret', async () => {
  await expect(webhookEvent(await webhook(`whsec_${btoa('another')}`), SECRET)).rejects.toThrow();
});

it('reads the event in Hono', async () => {
  const app = new Hono().post('/hooks', async (c) => c.json(await webhookEvent(c.req.raw, SECRET)));
  expect(await (await app.fetch(await webhook())).json()).toEqual(EVENT);
});
