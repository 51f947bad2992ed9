#!/usr/bin/env bash
# AI SDK, Responses: the second turn holds references to what the server said, not what it said.
#
# Guess: response.messages, appended to the messages as the SDK's guide shows, send the assistant's text back; it is in the array.
# Seen: createOpenAI()(model) speaks Responses, not chat completions, and without `store: false` it sends { type: "item_reference", id }
#   in place of each part that carries an item id, reasoning included. A compatible server that stores nothing answers turn 1 well
#   and cannot answer turn 2. With providerOptions.openai.store = false the text is sent, and the reasoning is left out.
# Where: @ai-sdk/openai 4.0.118 with ai 7.0.173 (npm). Needs Node 22.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" ai@7.0.173 @ai-sdk/openai@4.0.118 zod@4.6.7

cat > run.mjs <<'EOF'
import assert from 'node:assert/strict';
import http from 'node:http';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText } from 'ai';

globalThis.AI_SDK_LOG_WARNINGS = false;
const requests = [];
const server = http.createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  requests.push({ path: request.url, body: JSON.parse(text) });
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({
    id: 'resp_1', object: 'response', created_at: 1, model: 'm', status: 'completed', error: null, incomplete_details: null,
    output: [
      { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'France.' }] },
      { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'Paris.', annotations: [] }] },
    ],
    usage: { input_tokens: 1, output_tokens: 2, total_tokens: 3, input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 1 } },
  }));
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));

const model = createOpenAI({ apiKey: 'none', baseURL: `http://127.0.0.1:${server.address().port}/v1` })('m');
const question = { role: 'user', content: 'The capital of France?' };
const { response } = await generateText({ model, messages: [question], maxRetries: 0 });
const messages = [question, ...response.messages, { role: 'user', content: 'Are you sure?' }];
await generateText({ model, messages, maxRetries: 0 });
await generateText({ model, messages, maxRetries: 0, providerOptions: { openai: { store: false } } });
server.close();

const [, second, unstored] = requests;
console.log('turn 2:', JSON.stringify(second.body.input));
console.log('with store: false:', JSON.stringify(unstored.body.input));
assert.equal(second.path, '/v1/responses');
assert.equal('store' in second.body, false);
assert.deepEqual(second.body.input.slice(1, 3), [{ type: 'item_reference', id: 'rs_1' }, { type: 'item_reference', id: 'msg_1' }]);
assert.equal(JSON.stringify(second.body).includes('Paris.'), false);
assert.deepEqual(unstored.body.input.map((item) => item.type ?? item.role), ['user', 'assistant', 'user']);
assert.equal(JSON.stringify(unstored.body).includes('Paris.'), true);
EOF
node run.mjs
