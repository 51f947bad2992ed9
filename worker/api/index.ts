/** The map of the public API: a route a line, with who may ask it. openapi/document.ts describes each. */
import { Hono } from 'hono';
import { dialects } from '../gateway/dialects/index.ts';
import { generate } from '../gateway/generate.ts';
import { ANY_KEY, ANYBODY, by } from '../http/access.ts';
import { laterFrom } from '../http/lazy.ts';
import type { Api } from '../http/response-headers.ts';
import { getModel, listAnthropicModels, listModels } from './models.ts';

const balance = laterFrom(() => import('./balance.ts'));
const usage = laterFrom(() => import('./usage.ts'));
const key = laterFrom(() => import('./key.ts'));
const keys = laterFrom(() => import('./keys.ts'));
const tokens = laterFrom(() => import('./tokens.ts'));
const generations = laterFrom(() => import('./generations.ts'));
const files = laterFrom(() => import('./files.ts'));
const batches = laterFrom(() => import('./batches.ts'));
// its schemas describe every body in words, which no other request needs
const openapi = laterFrom(() => import('./openapi/document.ts'));

export const api = new Hono<Api>();

// DeepSeek's clients leave out /v1, LangChain's say /beta
for (const path of ['/v1/chat/completions', '/chat/completions', '/beta/chat/completions']) {
  api.post(path, generate(dialects.openaiChat));
}
for (const path of ['/v1/completions', '/completions', '/beta/completions']) {
  api.post(path, generate(dialects.openaiCompletions));
}
api.post('/v1/responses', generate(dialects.openaiResponses));
for (const path of ['/anthropic/v1/messages', '/v1/messages']) {
  api.post(path, generate(dialects.anthropicMessages));
}

for (const prefix of ['/v1', '']) {
  api.get(`${prefix}/models`, listModels);
  api.get(`${prefix}/models/:id{.+}`, getModel);
}
api.get('/anthropic/v1/models', listAnthropicModels);

api.get('/user/balance', by(...ANY_KEY), balance('getBalance'));
api.get('/v1/usage', by(...ANY_KEY), usage('getUsage'));
api.get('/v1/key', by(...ANYBODY), key('getKey'));
api.get('/v1/generations/:id', by(...ANYBODY), generations('getGeneration'));

api.get('/v1/keys', by('management'), keys('getKeys'));
api.post('/v1/keys', by('management'), keys('createKeyByApi'));
api.get('/v1/keys/:id', by('management'), keys('getKeyById'));
api.patch('/v1/keys/:id', by('management'), keys('patchKey'));
api.delete('/v1/keys/:id', by('management'), keys('deleteKey'));
api.post('/v1/keys/:id/rotate', by('management'), keys('rotateKey'));
api.post('/v1/tokens', by('inference'), tokens('mintToken'));

api.get('/v1/files', by('inference'), files('getFiles'));
api.post('/v1/files', by('inference'), files('uploadFile'));
api.get('/v1/files/:id', by('inference'), files('getFile'));
api.get('/v1/files/:id/content', by('inference'), files('getFileContent'));
api.delete('/v1/files/:id', by('inference'), files('removeFile'));
api.get('/v1/batches', by('inference'), batches('getBatches'));
api.post('/v1/batches', by('inference'), batches('createBatch'));
api.get('/v1/batches/:id', by('inference'), batches('getBatch'));
api.post('/v1/batches/:id/cancel', by('inference'), batches('cancelBatch'));

api.get('/openapi.json', openapi('getOpenApi'));
api.get('/healthz', (c) => c.json({ ok: true }));
