import { exports } from 'cloudflare:workers';
import { expect, it } from 'vitest';

it('answers that it lives', async () => {
  const main = (exports as unknown as { default: Fetcher }).default;
  const response = await main.fetch('https://tollgate.test/healthz');
  expect(await response.json()).toEqual({ ok: true });
});
