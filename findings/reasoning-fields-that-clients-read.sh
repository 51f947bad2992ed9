#!/usr/bin/env bash
# Chat completions: no name of the reasoning field reaches all clients, and if both are sent, clients choose differently.
#
# Guess: `reasoning_content` (DeepSeek, SGLang) is read by everybody, `reasoning` (OpenRouter, vLLM) by most; a client that is made
#   for OpenAI reads neither.
# Seen, the same streamed or not:
#   - OpenRouter's own provider reads `reasoning` alone, not `reasoning_content`
#   - LangChain, made for OpenAI, passes `reasoning_content` on, not `reasoning`
#   - AI SDK openai-compatible reads both, and `reasoning_content` where both are sent
#   - AI SDK openai reads neither
# Where: @openrouter/ai-sdk-provider 3.1.0, @ai-sdk/openai-compatible 3.0.92, @ai-sdk/openai 4.0.118, ai 7.0.173,
#   @langchain/openai 1.6.0 with @langchain/core 1.4.0 (npm). Needs Node 22.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" ai@7.0.173 @ai-sdk/openai@4.0.118 @ai-sdk/openai-compatible@3.0.92 \
  @openrouter/ai-sdk-provider@3.1.0 @langchain/openai@1.6.0 @langchain/core@1.4.0 zod@4.6.7

cat > run.mjs <<'EOF'
import assert from 'node:assert/strict';
import http from 'node:http';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { createOpenRouter } from '@openrouter/ai-sdk-provider';
import { generateText, streamText } from 'ai';

globalThis.AI_SDK_LOG_WARNINGS = false;
let fields = {};
const server = http.createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  const base = { id: 'c', created: 1, model: 'm' };
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
  if (JSON.parse(text).stream !== true) {
    response.writeHead(200, { 'content-type': 'application/json' });
    const message = { role: 'assistant', content: 'Paris.', ...fields };
    return response.end(JSON.stringify({ ...base, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }], usage }));
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (choices, rest) => response.write(`data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices, ...rest })}\n\n`);
  send([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }]);
  send([{ index: 0, delta: fields, finish_reason: null }]);
  send([{ index: 0, delta: { content: 'Paris.' }, finish_reason: null }]);
  send([{ index: 0, delta: {}, finish_reason: 'stop' }]);
  send([], { usage });
  response.end('data: [DONE]\n\n');
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const baseURL = `http://127.0.0.1:${server.address().port}/v1`;

const prompt = 'The capital of France?';
const aiSdk = (model) => async () => [
  (await generateText({ model, prompt, maxRetries: 0 })).reasoningText,
  await streamText({ model, prompt, maxRetries: 0 }).reasoningText,
];
const chat = new ChatOpenAI({ model: 'm', apiKey: 'none', configuration: { baseURL }, maxRetries: 0 });
const clients = {
  openrouter: aiSdk(createOpenRouter({ apiKey: 'none', baseURL })('m')),
  langchain: async () => {
    let streamed;
    for await (const chunk of await chat.stream(prompt)) streamed = streamed === undefined ? chunk : streamed.concat(chunk);
    // Anything of the message that holds the text counts, wherever LangChain puts it.
    const found = (answer) => /from \w+/.exec(JSON.stringify([answer.content, answer.additional_kwargs, answer.contentBlocks]))?.[0];
    return [found(await chat.invoke(prompt)), found(streamed)];
  },
  compatible: aiSdk(createOpenAICompatible({ name: 'local', apiKey: 'none', baseURL })('m')),
  openai: aiSdk(createOpenAI({ apiKey: 'none', baseURL }).chat('m')),
};
const sent = {
  reasoning_content: { reasoning_content: 'from reasoning_content' },
  reasoning: { reasoning: 'from reasoning' },
  both: { reasoning_content: 'from reasoning_content', reasoning: 'from reasoning' },
};
const expected = {
  openrouter: [undefined, 'from reasoning', 'from reasoning'],
  langchain: ['from reasoning_content', undefined, 'from reasoning_content'],
  compatible: ['from reasoning_content', 'from reasoning', 'from reasoning_content'],
  openai: [undefined, undefined, undefined],
};
const seen = {};
for (const [name, ask] of Object.entries(clients)) {
  seen[name] = [];
  for (const each of Object.values(sent)) {
    fields = each;
    const [whole, streamed] = await ask();
    assert.equal(streamed, whole, `${name} reads a stream otherwise than a whole answer`);
    seen[name].push(whole);
  }
  console.log(name, Object.fromEntries(Object.keys(sent).map((key, index) => [key, seen[name][index] ?? 'nothing'])));
}
server.close();
assert.deepEqual(seen, expected);
EOF
node run.mjs
