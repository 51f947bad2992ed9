/** The map of the Worker: its parts in reading order, the queue's consumer, and the Durable Objects it exports. */
import { Hono } from 'hono';
import { getBalance } from './api/balance.ts';
import { cancelBatch, createBatch, getBatch, getBatches } from './api/batches.ts';
import { getFile, getFileContent, getFiles, removeFile, uploadFile } from './api/files.ts';
import { getGeneration } from './api/generations.ts';
import { getKey } from './api/key.ts';
import { createKeyByApi, deleteKey, getKeyById, getKeys, patchKey, rotateKey } from './api/keys.ts';
import { getModel, listAnthropicModels, listModels } from './api/models.ts';
import { mintToken } from './api/tokens.ts';
import { getUsage } from './api/usage.ts';
import { billing } from './billing/index.ts';
import { describeError } from './describe-error.ts';
import { config, type Env } from './env.ts';
import { fleet } from './fleet/index.ts';
import { ANY_KEY, ANYBODY, by } from './gateway/access.ts';
import { type Api, type ApiContext, withAnswerHeaders } from './gateway/answer-headers.ts';
import { corsForTokens } from './gateway/cors.ts';
import { anthropicMessages } from './gateway/dialects/anthropic-messages.ts';
import { openaiChat } from './gateway/dialects/openai-chat.ts';
import { openaiCompletions } from './gateway/dialects/openai-completions.ts';
import { openaiResponses } from './gateway/dialects/openai-responses.ts';
import { generate } from './gateway/generate.ts';
import { envelope, refusalResponse, refused } from './gateway/refusal.ts';
import { portal } from './portal/index.tsx';
import { queue } from './tasks.ts';

export { Batch } from './durable/batch.ts';
export { Pool } from './durable/pool.ts';
export { Wallet } from './durable/wallet.ts';

const app = new Hono<Api>();

app.use(withAnswerHeaders());
app.use('/v1/*', corsForTokens());

// DeepSeek's clients leave out /v1, LangChain's say /beta
for (const path of ['/v1/chat/completions', '/chat/completions', '/beta/chat/completions']) {
  app.post(path, generate(openaiChat));
}
app.get('/anthropic/v1/models', listAnthropicModels);
for (const path of ['/v1/completions', '/completions', '/beta/completions']) {
  app.post(path, generate(openaiCompletions));
}
app.post('/v1/responses', generate(openaiResponses));
for (const path of ['/anthropic/v1/messages', '/v1/messages']) {
  app.post(path, generate(anthropicMessages));
}
for (const prefix of ['/v1', '']) {
  app.get(`${prefix}/models`, listModels);
  app.get(`${prefix}/models/:id{.+}`, getModel);
}
app.get('/v1/generations/:id', by(...ANYBODY), getGeneration);
app.get('/v1/key', by(...ANYBODY), getKey);
app.get('/user/balance', by(...ANY_KEY), getBalance);
app.get('/v1/usage', by(...ANY_KEY), getUsage);
app.post('/v1/files', by('inference'), uploadFile);
app.get('/v1/files', by('inference'), getFiles);
app.get('/v1/files/:id', by('inference'), getFile);
app.get('/v1/files/:id/content', by('inference'), getFileContent);
app.delete('/v1/files/:id', by('inference'), removeFile);
app.post('/v1/batches', by('inference'), createBatch);
app.get('/v1/batches', by('inference'), getBatches);
app.get('/v1/batches/:id', by('inference'), getBatch);
app.post('/v1/batches/:id/cancel', by('inference'), cancelBatch);
for (const [path, handlers] of Object.entries({
  '/v1/keys': { get: getKeys, post: createKeyByApi },
  '/v1/keys/:id': { get: getKeyById, patch: patchKey, delete: deleteKey },
  '/v1/keys/:id/rotate': { post: rotateKey },
})) {
  for (const [method, handler] of Object.entries(handlers))
    app.on(method.toUpperCase(), path, by('management'), handler);
}
app.post('/v1/tokens', by('inference'), mintToken);
app.get('/healthz', (c) => c.json({ ok: true }));

app.route('/', fleet);
app.route('/', billing);

app.all('/anthropic/*', (c) => {
  const refusal = { reason: 'route_not_found' } as const;
  const body = anthropicMessages.refused(envelope(refusal, config(c.env).publicOrigin), c.get('requestId'));
  return refusalResponse(refusal, body);
});

// asked as an API, refused as an API: no page for a program
for (const path of ['/v1', '/v1/*', '/beta/*', '/user/*', '/chat/*', '/completions', '/openapi.json']) {
  app.all(path, (c) => refused({ reason: 'route_not_found' }, config(c.env).publicOrigin));
}

app.route('/', portal);

app.onError((error, c: ApiContext) => {
  const event = { event: 'unhandled', requestId: c.get('requestId'), path: c.req.path };
  console.error(JSON.stringify({ ...event, error: describeError(error) }));
  return refused({ reason: 'internal' }, new URL(c.req.url).origin);
});

export default { fetch: app.fetch, queue } satisfies ExportedHandler<Env>;
