#!/usr/bin/env bash
# Anthropic's clients: a tool call that max_tokens cut off comes out as a complete one, and a cut number as another number.
#
# Guess: arguments that end in the middle are no JSON, so the final message raises an error, or holds the raw text.
# Seen: both helpers for streams close the JSON by themselves and raise nothing. A cut string and a cut literal vanish, key and all:
#   {"path": "/srv/da becomes {}. A cut number differs by language: TypeScript drops it, Python keeps the digits that arrived, so an
#   amount of 1250 cut after "12" is an amount of 12. Only stop_reason tells, which a loop that runs each tool_use block never reads.
# Where: anthropic 2.14.0 (PyPI), messages.stream, with jiter 0.19.0; @anthropic-ai/sdk 1.14.0 (npm), MessageStream. Needs Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" @anthropic-ai/sdk@1.14.0
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python --quiet --disable-pip-version-check install --no-compile anthropic==2.14.0 jiter==0.19.0

cat > final.py <<'EOF'
import json
import sys

import anthropic

client = anthropic.Anthropic(api_key="none", base_url=sys.argv[1], max_retries=0)
with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "Go."}]) as stream:
    print(json.dumps(stream.get_final_message().content[0].input))
EOF
cat > run.mjs <<'EOF'
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import http from 'node:http';
import { promisify } from 'node:util';
import Anthropic from '@anthropic-ai/sdk';

let cut;
const server = http.createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (event) => response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  const usage = { input_tokens: 1, output_tokens: 1 };
  send({ type: 'message_start', message: { id: 'm', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: null, stop_sequence: null, usage } });
  send({ type: 'content_block_start', index: 0, content_block: { type: 'tool_use', id: 't', name: 'act', input: {} } });
  send({ type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: cut } });
  send({ type: 'content_block_stop', index: 0 });
  send({ type: 'message_delta', delta: { stop_reason: 'max_tokens', stop_sequence: null }, usage: { output_tokens: 9 } });
  send({ type: 'message_stop' });
  response.end();
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const baseURL = `http://127.0.0.1:${server.address().port}`;
const client = new Anthropic({ apiKey: 'none', baseURL, maxRetries: 0 });

const rows = [
  ['{"to": "savings", "amount": 12', { to: 'savings' }, { to: 'savings', amount: 12 }],
  ['{"path": "/srv/da', {}, {}],
  ['{"path": "/srv/data", "dry_run": tr', { path: '/srv/data' }, { path: '/srv/data' }],
];
const seen = [];
for ([cut] of rows) {
  const stream = client.messages.stream({ model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'Go.' }] });
  const typescript = (await stream.finalMessage()).content[0].input;
  const { stdout } = await promisify(execFile)('venv/bin/python', ['final.py', baseURL]);
  seen.push([cut, typescript, JSON.parse(stdout)]);
  console.log(cut, '-> TypeScript', JSON.stringify(typescript), '- Python', stdout.trim());
}
server.close();
assert.deepEqual(seen, rows);
EOF
node run.mjs
