/** The API's routes in general: every response has a request id, and every error has the envelope. */
import { createExecutionContext } from 'cloudflare:test';
import { expect, it } from 'vitest';
import app from '../../../worker/index.ts';
import { Customer, env } from '../gateway/client.ts';

const ask = async (path: string, init: RequestInit = {}) =>
  app.fetch(new Request(`https://tollgate.test${path}`, init), env, createExecutionContext());

it.each([
  ['/healthz', 200],
  ['/v1/models', 200],
  ['/v1/models/%', 404],
  ['/v1/models/%E0%A4%A', 404],
  ['/v1/key', 401],
  ['/user/balance', 401],
  ['/v1/generations/req_00000000000000000000000000', 401],
  ['/v1/nothing', 404],
  ['/anthropic/v1/messages', 405],
  ['/openapi.json', 200],
])('%s responds %d with a request id', async (path, status) => {
  const response = await ask(path);
  expect(response.status).toBe(status);
  expect(response.headers.get('x-request-id')).toMatch(/^req_[0-9a-z]{26}$/);
  const body = (await response.json()) as { error?: Record<string, unknown> };
  if (status >= 400) expect(Object.keys(body.error!).sort()).toEqual(['code', 'message', 'param', 'type']);
});

it.each([
  [{ 'content-type': 'text/plain' }, 415],
  [{ 'content-type': 'application/json-seq' }, 415],
  [{ 'content-type': 'application/json; charset=utf-16' }, 415],
  [{ 'content-type': 'application/json', 'content-encoding': 'gzip' }, 415],
  [{ 'content-type': 'application/json; charset=utf-8' }, 400],
  [{ 'content-type': 'application/vnd.api+json' }, 400],
])('a body with %j gets %d', async (headers, status) => {
  const { key } = await Customer.withCredit();
  const response = await ask('/v1/chat/completions', {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, ...headers },
    body: '{}',
  });
  expect(response.status).toBe(status);
});
