/** The map of the public API: a route a line, with who may ask it. openapi/document.ts describes each. */
import { Hono } from 'hono';
import { ANY_KEY, ANYBODY, by } from '../gateway/access.ts';
import type { Api } from '../gateway/answer-headers.ts';
import { anthropicMessages } from '../gateway/dialects/anthropic-messages.ts';
import { openaiChat } from '../gateway/dialects/openai-chat.ts';
import { openaiCompletions } from '../gateway/dialects/openai-completions.ts';
import { openaiResponses } from '../gateway/dialects/openai-responses.ts';
import { generate } from '../gateway/generate.ts';
import { getBalance } from './balance.ts';
import { cancelBatch, createBatch, getBatch, getBatches } from './batches.ts';
import { getFile, getFileContent, getFiles, removeFile, uploadFile } from './files.ts';
import { getGeneration } from './generations.ts';
import { getKey } from './key.ts';
import { createKeyByApi, deleteKey, getKeyById, getKeys, patchKey, rotateKey } from './keys.ts';
import { getModel, listAnthropicModels, listModels } from './models.ts';
import { mintToken } from './tokens.ts';
import { getUsage } from './usage.ts';

export const api = new Hono<Api>();

// DeepSeek's clients leave out /v1, LangChain's say /beta
for (const path of ['/v1/chat/completions', '/chat/completions', '/beta/chat/completions']) {
  api.post(path, generate(openaiChat));
}
for (const path of ['/v1/completions', '/completions', '/beta/completions']) {
  api.post(path, generate(openaiCompletions));
}
api.post('/v1/responses', generate(openaiResponses));
for (const path of ['/anthropic/v1/messages', '/v1/messages']) {
  api.post(path, generate(anthropicMessages));
}

for (const prefix of ['/v1', '']) {
  api.get(`${prefix}/models`, listModels);
  api.get(`${prefix}/models/:id{.+}`, getModel);
}
api.get('/anthropic/v1/models', listAnthropicModels);

api.get('/user/balance', by(...ANY_KEY), getBalance);
api.get('/v1/usage', by(...ANY_KEY), getUsage);
api.get('/v1/key', by(...ANYBODY), getKey);
api.get('/v1/generations/:id', by(...ANYBODY), getGeneration);

api.get('/v1/keys', by('management'), getKeys);
api.post('/v1/keys', by('management'), createKeyByApi);
api.get('/v1/keys/:id', by('management'), getKeyById);
api.patch('/v1/keys/:id', by('management'), patchKey);
api.delete('/v1/keys/:id', by('management'), deleteKey);
api.post('/v1/keys/:id/rotate', by('management'), rotateKey);
api.post('/v1/tokens', by('inference'), mintToken);

api.get('/v1/files', by('inference'), getFiles);
api.post('/v1/files', by('inference'), uploadFile);
api.get('/v1/files/:id', by('inference'), getFile);
api.get('/v1/files/:id/content', by('inference'), getFileContent);
api.delete('/v1/files/:id', by('inference'), removeFile);
api.get('/v1/batches', by('inference'), getBatches);
api.post('/v1/batches', by('inference'), createBatch);
api.get('/v1/batches/:id', by('inference'), getBatch);
api.post('/v1/batches/:id/cancel', by('inference'), cancelBatch);

// its schemas describe every body in words, which no other request needs
api.get('/openapi.json', async (c) => (await import('../openapi/document.ts')).getOpenApi(c));
api.get('/healthz', (c) => c.json({ ok: true }));
