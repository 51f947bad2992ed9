/** Fixtures for tests of batches: calls as a customer makes them, over the real routes. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { expect } from 'vitest';
import app from '../../../worker/index.ts';
import { type Customer, env, PRICE } from '../gateway/client.ts';
import { waitUntil } from '../wait.ts';

/** Adds batch prices. It must run before the first request, because the gateway caches the catalogue for ten seconds. */
export async function sellBatches(models: number): Promise<void> {
  const insert = env.DB.prepare(
    "insert into price (id, model_id, tariff, from_ms, cache_hit_nano_usd, cache_miss_nano_usd, output_nano_usd, source) values (?, ?, 'batch', 0, ?, ?, ?, 'test')",
  );
  await env.DB.batch(
    Array.from({ length: models }, (_, i) =>
      insert.bind(`model-${i}/batch`, `model-${i}`, PRICE.hit / 2, PRICE.miss / 2, PRICE.output / 2),
    ),
  );
}

export interface BatchResponse {
  id: string;
  status: string;
  errors: { data: { code: string }[] } | null;
  output_file_id: string | null;
  error_file_id: string | null;
  request_counts: { total: number; completed: number; failed: number };
  usage: { input_tokens: number; output_tokens: number; cost: number; cost_nano_usd: number };
  metadata: Record<string, string> | null;
  tollgate: { paused_by: string | null };
  [field: string]: unknown;
}

export interface ResultLine {
  id: string;
  custom_id: string | null;
  response: { status_code: number; request_id: string; body: Record<string, unknown> } | null;
  error: { code: string; message: string; line: number } | null;
}

export async function call(
  { key }: Pick<Customer, 'key'>,
  method: string,
  path: string,
  body?: FormData | object,
): Promise<Response> {
  const context = createExecutionContext();
  const isForm = body instanceof FormData;
  const request = new Request(`https://tollgate.test${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body && !isForm ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: isForm ? body : JSON.stringify(body) } : {}),
  });
  const response = await app.fetch(request, env, context);
  const whole = new Response(await response.text(), response);
  await waitOnExecutionContext(context);
  return whole;
}

export function line(customId: string, body: object, over: object = {}): string {
  const request = { custom_id: customId, method: 'POST', url: '/v1/chat/completions', body };
  return JSON.stringify({ ...request, ...over });
}

/** A line whose prompt is a greeting to `model`. */
export function hello(model: string, customId: string): string {
  return line(customId, { model, messages: [{ role: 'user', content: `Hello, ${customId}` }] });
}

export async function upload(
  customer: Pick<Customer, 'key'>,
  content: string,
  fields: Record<string, string> = {},
  name = 'lines.jsonl',
) {
  const form = new FormData();
  for (const [name, value] of Object.entries({ purpose: 'batch', ...fields })) form.set(name, value);
  form.set('file', new File([content], name));
  return call(customer, 'POST', '/v1/files', form);
}

export async function create(customer: Customer, lines: readonly string[], more: object = {}) {
  const file = (await (await upload(customer, `${lines.join('\n')}\n`)).json()) as { id: string };
  const body = {
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    ...more,
  };
  const created = await call(customer, 'POST', '/v1/batches', body);
  expect(created.status).toBe(200);
  return (await created.json()) as BatchResponse;
}

export async function get(customer: Customer, id: string): Promise<BatchResponse> {
  return (await call(customer, 'GET', `/v1/batches/${id}`)).json();
}

/** Waits until the batch's alarms have brought it to a state. @returns the batch in that state */
export function until(customer: Customer, id: string, isReached: (batch: BatchResponse) => boolean) {
  return waitUntil(
    async () => {
      const batch = await get(customer, id);
      return isReached(batch) && batch;
    },
    { timeout: 60_000, interval: 50 },
  ) as Promise<BatchResponse>;
}

export const hasEnded = ({ status }: BatchResponse) =>
  ['completed', 'failed', 'expired', 'cancelled'].includes(status);

export async function results(customer: Customer, fileId: string | null): Promise<ResultLine[]> {
  if (fileId === null) return [];
  const content = await (await call(customer, 'GET', `/v1/files/${fileId}/content`)).text();
  return content
    .split('\n')
    .filter((each) => each !== '')
    .map((each) => JSON.parse(each) as ResultLine);
}
