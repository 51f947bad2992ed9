/** The rest of the copied APIs: refused in the caller's own envelope, with what there is instead; and Anthropic's models. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import app from '../../../worker/index.ts';
import { Customer, env, newModel } from '../gateway/client.ts';

async function call(method: string, path: string, headers: Record<string, string> = {}) {
  const context = createExecutionContext();
  const request = new Request(`https://tollgate.test${path}`, { method, headers });
  const response = await app.fetch(request, env, context);
  await waitOnExecutionContext(context);
  return { status: response.status, body: (await response.json()) as Record<string, never> };
}
const ANTHROPIC = { 'anthropic-version': '2023-06-01' };

it.each([
  ['POST', '/v1/embeddings'],
  ['POST', '/v1/images/generations'],
  ['POST', '/v1/audio/speech'],
  ['POST', '/v1/moderations'],
  ['GET', '/v1/assistants'],
  ['POST', '/v1/threads/thread_1/runs'],
  ['GET', '/v1/vector_stores'],
  ['POST', '/v1/fine_tuning/jobs'],
  ['POST', '/v1/realtime/client_secrets'],
  ['POST', '/v1/conversations'],
  ['GET', '/v1/chat/completions/chatcmpl-1'],
  ['POST', '/v1/uploads'],
])('%s %s is not offered, in OpenAI’s envelope', async (method, path) => {
  const { status, body } = await call(method, path);
  expect(status).toBe(404);
  expect(body).toEqual({
    error: {
      message: expect.stringContaining('not offered here.'),
      type: 'invalid_request_error',
      param: null,
      code: 'not_offered',
    },
  });
});

it.each([
  ['POST', '/v1/messages/batches', {}],
  ['GET', '/anthropic/v1/messages/batches/msgbatch_1', {}],
  ['POST', '/v1/complete', {}],
  ['GET', '/anthropic/v1/files', {}],
  ['GET', '/v1/files', ANTHROPIC],
  ['POST', '/v1/embeddings', ANTHROPIC],
])('%s %s is not offered, in Anthropic’s envelope', async (method, path, headers) => {
  const { status, body } = await call(method, path, headers);
  expect(status).toBe(404);
  expect(body).toMatchObject({
    type: 'error',
    error: { type: 'not_found_error', message: expect.stringContaining('not offered here.') },
  });
});

describe('models in Anthropic’s form', () => {
  it('are listed in pages and found by id, under its path and for its clients', async () => {
    await Customer.withCredit();
    const model = newModel();
    for (const [prefix, headers] of [
      ['/anthropic/v1', {}],
      ['/v1', ANTHROPIC],
    ] as const) {
      const { body } = await call('GET', `${prefix}/models?limit=2`, headers);
      expect(body).toMatchObject({ has_more: true, data: [{ type: 'model' }, { type: 'model' }] });
      const next = await call('GET', `${prefix}/models?limit=2&after_id=${body.last_id}`, headers);
      const back = await call('GET', `${prefix}/models?limit=1&before_id=${next.body.first_id}`, headers);
      expect(back.body.first_id).toBe(body.last_id);
      const one = await call('GET', `${prefix}/models/${model}`, headers);
      expect(one.body).toMatchObject({
        type: 'model',
        id: model,
        max_input_tokens: 131_072,
        lifecycle: 'active',
      });
      const none = await call('GET', `${prefix}/models/claude-x`, headers);
      expect(none).toMatchObject({
        status: 404,
        body: { type: 'error', error: { type: 'not_found_error' } },
      });
      expect((await call('GET', `${prefix}/models?limit=0`, headers)).body).toMatchObject({ type: 'error' });
    }
    expect((await call('GET', `/v1/models/${model}`)).body).toMatchObject({ object: 'model' });
  });
});
