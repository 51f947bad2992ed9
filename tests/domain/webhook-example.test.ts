/** The examples of docs/api.md verify a webhook in Node: in handlers that get a `Request`, as Next.js has them, and in a plain server. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { expect, it } from 'vitest';
import { freePorts } from '../e2e/ports.ts';
import { webhookEvent } from '../examples/webhook-event.ts';

const SECRET = `whsec_${btoa('0123456789abcdef0123456789abcdef')}`;
const EVENT = { type: 'balance.low', data: { city: 'Orléans' } };
const body = JSON.stringify(EVENT);

function signed(secret = SECRET): Record<string, string> {
  const at = new Date();
  const signature = new Webhook(secret).sign('msg_1', at, body);
  return {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
    'webhook-signature': signature,
  };
}

it('a handler that gets a Request reads the event', async () => {
  const request = new Request('https://shop.example/hooks', {
    method: 'POST',
    headers: signed(),
    body,
  });
  expect(await webhookEvent(request, SECRET)).toEqual(EVENT);
});

it('a server of node:http reads the event, and refuses one that another secret signed', async () => {
  const port = await freePorts(1);
  const server = spawn(process.execPath, [join(import.meta.dirname, '../examples/webhook-server.ts')], {
    env: { ...process.env, PORT: String(port), TOLLGATE_WEBHOOK_SECRET: SECRET },
  });
  let output = '';
  server.stdout.on('data', (chunk) => {
    output += chunk;
  });
  try {
    const post = async (secret?: string) =>
      (await fetch(`http://127.0.0.1:${port}`, { method: 'POST', headers: signed(secret), body })).status;
    await expect.poll(() => post().catch(() => null)).toBe(204);
    expect(await post(`whsec_${btoa('another')}`)).toBe(400);
    await expect.poll(() => output).toContain('Orléans');
  } finally {
    server.kill();
  }
});
