#!/usr/bin/env bash
# OpenRouter's AI SDK provider: a cost written as a string makes it throw away a good answer.
#
# Guess: `usage` is informative; money as a decimal string, which keeps all digits, is at worst ignored, as other clients do.
# Seen: with usage.cost = "0.0000125" a whole answer of status 200 fails with "Invalid JSON response", though the JSON is valid. A stream
#   has already shown its whole text when its last chunk, which has the usage, turns finishReason into "error" and all usage into
#   undefined, so a caller that retries pays twice. The same number without quotation marks is fine.
#   AI SDK openai-compatible takes the same answers.
# Where: @openrouter/ai-sdk-provider 3.1.0 and @ai-sdk/openai-compatible 3.0.92 with ai 7.0.173 (npm). Needs Node 22.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" ai@7.0.173 @openrouter/ai-sdk-provider@3.1.0 \
  @ai-sdk/openai-compatible@3.0.92 zod@4.6.7

cat > run.mjs <<'EOF'
import assert from 'node:assert/strict';
import http from 'node:http';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { createOpenRouter } from '@openrouter/ai-sdk-provider';
import { generateText, streamText } from 'ai';

globalThis.AI_SDK_LOG_WARNINGS = false;
let cost;
const server = http.createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  const base = { id: 'c', created: 1, model: 'm' };
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3, cost };
  if (JSON.parse(text).stream !== true) {
    response.writeHead(200, { 'content-type': 'application/json' });
    const message = { role: 'assistant', content: 'Paris.' };
    return response.end(JSON.stringify({ ...base, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }], usage }));
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (choices, rest) => response.write(`data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices, ...rest })}\n\n`);
  send([{ index: 0, delta: { role: 'assistant', content: 'Paris.' }, finish_reason: null }]);
  send([{ index: 0, delta: {}, finish_reason: 'stop' }]);
  send([], { usage });
  response.end('data: [DONE]\n\n');
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const baseURL = `http://127.0.0.1:${server.address().port}/v1`;

async function outcome(model) {
  const prompt = 'The capital of France?';
  const whole = await generateText({ model, prompt, maxRetries: 0 }).then((answer) => answer.text, (error) => `failed: ${error.message}`);
  const stream = streamText({ model, prompt, maxRetries: 0, onError: () => {} });
  return [whole, await stream.text, await stream.finishReason, (await stream.usage).outputTokens];
}

const openrouter = createOpenRouter({ apiKey: 'none', baseURL })('m');
const compatible = createOpenAICompatible({ name: 'local', apiKey: 'none', baseURL, includeUsage: true })('m');
const rows = [
  ['number', 0.0000125, openrouter, ['Paris.', 'Paris.', 'stop', 2]],
  ['string', '0.0000125', openrouter, ['failed: Invalid JSON response', 'Paris.', 'error', undefined]],
  ['string', '0.0000125', compatible, ['Paris.', 'Paris.', 'stop', 2]],
];
const seen = [];
for (const [kind, value, model] of rows) {
  cost = value;
  seen.push(await outcome(model));
  console.log(model.provider, kind, seen.at(-1));
}
server.close();
assert.deepEqual(seen, rows.map(([, , , expected]) => expected));
EOF
node run.mjs
