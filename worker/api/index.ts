/** The map of the public API: one line per route, with the kinds of keys that may call it. openapi/ describes each. */
import { Hono } from 'hono';
import { dialects } from '../gateway/dialects/index.ts';
import { generate } from '../gateway/generate.ts';
import type { openTurn as open } from '../gateway/stored-responses/open.ts';
import { ANY_KEY, ANY_PRINCIPAL, authorized, authorizedWithin, CAN_INFER } from '../http/access.ts';
import { lazyFrom } from '../http/lazy.ts';
import type { Api } from '../http/response-headers.ts';
import { getModel, listModels } from './models.ts';

const responses = lazyFrom(() => import('./responses.ts'));
const counts = lazyFrom(() => import('../gateway/count/routes.ts'));
const balance = lazyFrom(() => import('./balance.ts'));
const usage = lazyFrom(() => import('./usage.ts'));
const key = lazyFrom(() => import('./key.ts'));
const keys = lazyFrom(() => import('./keys.ts'));
const aliases = lazyFrom(() => import('./aliases.ts'));
const tokens = lazyFrom(() => import('./tokens.ts'));
const generations = lazyFrom(() => import('./generations.ts'));
const files = lazyFrom(() => import('./files.ts'));
const batches = lazyFrom(() => import('./batches.ts'));
// lazy, because its schemas describe every body in words, which no other request needs
const openapi = lazyFrom(() => import('./openapi/document.ts'));

// with the store of responses, which no other dialect has
const openTurn: typeof open = async (...args) =>
  (await import('../gateway/stored-responses/open.ts')).openTurn(...args);

export const api = new Hono<Api>();

// DeepSeek's clients leave out /v1, LangChain's DeepSeek client uses /beta
for (const path of ['/v1/chat/completions', '/chat/completions', '/beta/chat/completions']) {
  api.post(path, generate(dialects.openaiChat));
}
for (const path of ['/v1/completions', '/completions', '/beta/completions']) {
  api.post(path, generate(dialects.openaiCompletions));
}
api.post('/v1/responses', generate(dialects.openaiResponses, openTurn));
// /v1/responses/input_tokens: the router takes no word where another route has a parameter
api.post('/v1/responses/:id', counts('postUnderResponses'));
api.post('/v1/chat/completions/input_tokens', counts('countChat'));
for (const path of ['/anthropic/v1/messages/count_tokens', '/v1/messages/count_tokens']) {
  api.post(path, counts('countMessages'));
}
api.get('/v1/responses/:id', authorizedWithin('stored_key', ...CAN_INFER), responses('getResponse'));
api.delete('/v1/responses/:id', authorizedWithin('stored_key', ...CAN_INFER), responses('deleteResponse'));
api.get(
  '/v1/responses/:id/input_items',
  authorizedWithin('stored_key', ...CAN_INFER),
  responses('getInputItems'),
);
api.post(
  '/v1/responses/:id/cancel',
  authorizedWithin('stored_key', ...CAN_INFER),
  responses('cancelResponse'),
);
for (const path of ['/anthropic/v1/messages', '/v1/messages']) {
  api.post(path, generate(dialects.anthropicMessages));
}

for (const prefix of ['/v1', '']) {
  api.get(`${prefix}/models`, listModels);
  api.get(`${prefix}/models/:id{[\\s\\S]+}`, getModel);
}
api.get('/anthropic/v1/models', listModels);
api.get('/anthropic/v1/models/:id{[\\s\\S]+}', getModel);

api.get('/user/balance', authorized(...ANY_KEY), balance('getBalance'));
api.get('/v1/usage', authorizedWithin('download_key', ...ANY_KEY), usage('getUsage'));
api.get('/v1/key', authorized(...ANY_PRINCIPAL), key('getKey'));
api.get('/v1/generations/:id', authorized(...ANY_PRINCIPAL), generations('getGeneration'));

api.get('/v1/keys', authorized('management'), keys('getKeys'));
api.post('/v1/keys', authorized('management'), keys('createKeyByApi'));
api.get('/v1/keys/:id', authorized('management'), keys('getKeyById'));
api.patch('/v1/keys/:id', authorized('management'), keys('patchKey'));
api.delete('/v1/keys/:id', authorized('management'), keys('deleteKey'));
api.post('/v1/keys/:id/rotate', authorized('management'), keys('rotateKey'));
api.get('/v1/aliases', authorized(...ANY_KEY), aliases('getAliases'));
api.put('/v1/aliases/:id{[\\s\\S]+}', authorized('management'), aliases('setAlias'));
api.delete('/v1/aliases/:id{[\\s\\S]+}', authorized('management'), aliases('deleteAlias'));
api.post('/v1/tokens', authorizedWithin('token_key', 'inference'), tokens('mintToken'));

api.get('/v1/files', authorized('inference'), files('getFiles'));
api.post('/v1/files', authorized('inference'), files('uploadFile'));
api.get('/v1/files/:id', authorized('inference'), files('getFile'));
api.get('/v1/files/:id/content', authorizedWithin('download_key', 'inference'), files('getFileContent'));
api.delete('/v1/files/:id', authorized('inference'), files('removeFile'));
api.get('/v1/batches', authorized('inference'), batches('getBatches'));
api.post('/v1/batches', authorized('inference'), batches('createBatch'));
api.get('/v1/batches/:id', authorized('inference'), batches('getBatch'));
api.post('/v1/batches/:id/cancel', authorized('inference'), batches('cancelBatch'));

api.get('/openapi.json', openapi('getOpenApi'));
api.get('/healthz', (c) => c.json({ ok: true }));
