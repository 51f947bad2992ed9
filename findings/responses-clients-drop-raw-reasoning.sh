#!/usr/bin/env bash
# Responses: AI SDK and LangChain show reasoning from `summary` alone, and nothing of reasoning given as `content`.
#
# Guess: an open-weight model has no summary to give; its thought belongs into the reasoning item's `content` as `reasoning_text`, with
#   `response.reasoning_text.delta` while it streams. OpenAI's document describes both, so clients show both.
# Seen: with `content`, reasoningText of the AI SDK is undefined and LangChain's reasoning block has an empty text, streamed or not.
#   The same thought sent as `summary_text` is shown by both. When it streams, LangChain does not even keep `content` in
#   additional_kwargs, where it is when it does not stream.
# Where: @ai-sdk/openai 4.0.118 with ai 7.0.173, @langchain/openai 1.6.0 with @langchain/core 1.4.0 (npm). Needs Node 22.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" ai@7.0.173 @ai-sdk/openai@4.0.118 zod@4.6.7 \
  @langchain/openai@1.6.0 @langchain/core@1.4.0

cat > run.mjs <<'EOF'
import assert from 'node:assert/strict';
import http from 'node:http';
import { createOpenAI } from '@ai-sdk/openai';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, streamText } from 'ai';

globalThis.AI_SDK_LOG_WARNINGS = false;
const THOUGHT = 'France has one.';
const message = { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'Paris.', annotations: [] }] };
const usage = { input_tokens: 1, output_tokens: 2, total_tokens: 3, input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 1 } };

const forms = {
  summary: {
    item: { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: THOUGHT }] },
    empty: { type: 'reasoning', id: 'rs_1', summary: [] },
    events: [
      ['response.reasoning_summary_part.added', { summary_index: 0, part: { type: 'summary_text', text: '' } }],
      ['response.reasoning_summary_text.delta', { summary_index: 0, delta: THOUGHT }],
      ['response.reasoning_summary_text.done', { summary_index: 0, text: THOUGHT }],
      ['response.reasoning_summary_part.done', { summary_index: 0, part: { type: 'summary_text', text: THOUGHT } }],
    ],
  },
  content: {
    item: { type: 'reasoning', id: 'rs_1', summary: [], content: [{ type: 'reasoning_text', text: THOUGHT }] },
    empty: { type: 'reasoning', id: 'rs_1', summary: [], content: [] },
    events: [
      ['response.content_part.added', { content_index: 0, part: { type: 'reasoning_text', text: '' } }],
      ['response.reasoning_text.delta', { content_index: 0, delta: THOUGHT }],
      ['response.reasoning_text.done', { content_index: 0, text: THOUGHT }],
      ['response.content_part.done', { content_index: 0, part: { type: 'reasoning_text', text: THOUGHT } }],
    ],
  },
};

let form = forms.summary;
const whole = (status) => ({
  id: 'resp_1', object: 'response', created_at: 1, model: 'm', status, error: null, incomplete_details: null,
  output: status === 'completed' ? [form.item, message] : [],
  usage: status === 'completed' ? usage : null,
});
const events = () => [
  ['response.created', { response: whole('in_progress') }],
  ['response.output_item.added', { output_index: 0, item: form.empty }],
  ...form.events.map(([type, fields]) => [type, { item_id: 'rs_1', output_index: 0, ...fields }]),
  ['response.output_item.done', { output_index: 0, item: form.item }],
  ['response.output_item.added', { output_index: 1, item: { ...message, content: [] } }],
  ['response.content_part.added', { item_id: 'msg_1', output_index: 1, content_index: 0, part: { type: 'output_text', text: '', annotations: [] } }],
  ['response.output_text.delta', { item_id: 'msg_1', output_index: 1, content_index: 0, delta: 'Paris.' }],
  ['response.output_text.done', { item_id: 'msg_1', output_index: 1, content_index: 0, text: 'Paris.' }],
  ['response.output_item.done', { output_index: 1, item: message }],
  ['response.completed', { response: whole('completed') }],
];
const server = http.createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  const isStream = JSON.parse(text).stream === true;
  response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' });
  if (!isStream) return response.end(JSON.stringify(whole('completed')));
  events().forEach(([type, fields], sequence_number) => {
    response.write(`event: ${type}\ndata: ${JSON.stringify({ type, sequence_number, ...fields })}\n\n`);
  });
  response.end();
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const baseURL = `http://127.0.0.1:${server.address().port}/v1`;

const model = createOpenAI({ apiKey: 'none', baseURL })('m');
const chat = new ChatOpenAI({ model: 'm', apiKey: 'none', useResponsesApi: true, configuration: { baseURL }, maxRetries: 0 });
const ask = { model, prompt: 'The capital of France?', maxRetries: 0 };
const shown = (answer) => answer.contentBlocks.find((block) => block.type === 'reasoning')?.reasoning;
const kept = (answer) => answer.additional_kwargs.reasoning?.content?.[0]?.text;

async function seen() {
  let streamed;
  const answer = await chat.invoke(ask.prompt);
  for await (const chunk of await chat.stream(ask.prompt)) streamed = streamed === undefined ? chunk : streamed.concat(chunk);
  return {
    'AI SDK': (await generateText(ask)).reasoningText,
    'AI SDK, streamed': await streamText(ask).reasoningText,
    LangChain: shown(answer),
    'LangChain, streamed': shown(streamed),
    'LangChain, content kept': kept(answer),
    'LangChain, content kept, streamed': kept(streamed),
  };
}

const found = {};
for (const name of Object.keys(forms)) {
  form = forms[name];
  found[name] = await seen();
  console.log(name, found[name]);
}
server.close();
assert.deepEqual(Object.values(found.summary), [THOUGHT, THOUGHT, THOUGHT, THOUGHT, undefined, undefined]);
assert.deepEqual(Object.values(found.content), [undefined, undefined, '', '', THOUGHT, undefined]);
EOF
node run.mjs
