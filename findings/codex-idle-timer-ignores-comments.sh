#!/usr/bin/env bash
# Codex CLI: its idle timer does not count SSE comments, nor events without data, while `data: {}` keeps the stream alive.
#
# Guess: any byte keeps a stream from being idle; comments (": wait") are what SSE itself recommends for keeping a connection.
# Seen: stream_idle_timeout_ms measures the time between parsed events with data. A server that thinks for longer than that and sends
#   comments, or `event: ping` without data, is cut off with "idle timeout waiting for SSE". An event with any JSON data counts,
#   even one of a type that Codex does not know, even `data: {}`.
# Where: @openai/codex 0.171.0 (npm), `codex exec` with wire_api = "responses". Needs Node 20 and x86-64 or arm64.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" @openai/codex@0.171.0

cat > run.mjs <<'EOF'
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';

const IDLE_MS = 2_000; // far above the pause between beats, far below the time until the answer
const BEAT_MS = 200;
const BEATS = 30;

const rows = [
  ['comments', ': wait\n\n', false],
  ['event without data', 'event: ping\n\n', false],
  ['repeated in_progress', event('response.in_progress', { response: { id: 'resp_1' } }), true],
  ['event of unknown type', event('ping', {}), true],
  ['empty object', 'data: {}\n\n', true],
];

function event(type, fields) {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

function answer() {
  const item = { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'done', annotations: [] }] };
  const usage = { input_tokens: 1, output_tokens: 1, total_tokens: 2, input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } };
  return event('response.output_item.added', { output_index: 0, item: { ...item, content: [] } })
    + event('response.output_item.done', { output_index: 0, item })
    + event('response.completed', { response: { id: 'resp_1', status: 'completed', output: [item], usage } });
}

async function survives(beat, index) {
  const server = http.createServer((request, response) => {
    request.resume();
    if (request.method !== 'POST') return response.writeHead(404).end();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(event('response.created', { response: { id: 'resp_1' } }));
    let beats = 0;
    const timer = setInterval(() => {
      beats += 1;
      if (beats <= BEATS) return response.write(beat);
      clearInterval(timer);
      response.end(answer());
    }, BEAT_MS);
    response.on('close', () => clearInterval(timer));
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const home = `${process.cwd()}/home-${index}`;
  mkdirSync(home);
  writeFileSync(`${home}/config.toml`, [
    'model = "some-model"', 'model_provider = "local"', '[model_providers.local]', 'name = "Local"',
    `base_url = "http://127.0.0.1:${server.address().port}/v1"`, 'wire_api = "responses"', 'env_key = "LOCAL_KEY"',
    `stream_idle_timeout_ms = ${IDLE_MS}`, 'stream_max_retries = 0', 'request_max_retries = 0', '',
  ].join('\n'));
  const codex = spawn('node_modules/.bin/codex', ['exec', '--skip-git-repo-check', '--ephemeral', '-C', home, 'Say done.'], {
    env: { PATH: process.env.PATH, HOME: home, CODEX_HOME: home, LOCAL_KEY: 'none' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  codex.stdout.on('data', (chunk) => { text += chunk; });
  codex.stderr.on('data', (chunk) => { text += chunk; });
  const code = await new Promise((closed) => codex.on('close', closed));
  server.closeAllConnections();
  server.close();
  if (code !== 0 && !text.includes('idle timeout waiting for SSE')) throw new Error(`It failed for another reason: ${text}`);
  return code === 0;
}

let wrong = 0;
for (const [index, [name, beat, expected]] of rows.entries()) {
  const seen = await survives(beat, index);
  if (seen !== expected) wrong += 1;
  console.log(`${name}: ${seen ? 'answer received' : 'cut off as idle'}`);
}
process.exit(wrong === 0 ? 0 : 1);
EOF
node run.mjs
