#!/usr/bin/env bash
# openai for Node: the stream helper keeps only the last piece of `reasoning_content`; the one for Python joins them.
#
# Guess: chat.completions.stream() adds up what it does not know as it adds up content, or leaves it out.
# Seen: an unknown field of a delta replaces the one before, so finalMessage() holds the last piece of the thought and looks well
#   formed. OpenAI's helper for Python, with the same stream, joins strings of any name.
# Where: openai 7.59.0 (npm), lib/ChatCompletionStream; openai 3.57.0 (PyPI), lib/streaming/_deltas.py. Needs Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" openai@7.59.0
python3 -m venv --without-pip venv
python3 -m pip --python venv/bin/python --quiet --disable-pip-version-check install --no-compile openai==3.57.0

cat > final.py <<'EOF'
import json
import sys

import openai

client = openai.OpenAI(api_key="none", base_url=sys.argv[1], max_retries=0)
with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "Go."}]) as stream:
    message = stream.get_final_completion().choices[0].message
print(json.dumps([message.reasoning_content, message.content]))
EOF
cat > run.mjs <<'EOF'
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import http from 'node:http';
import { promisify } from 'node:util';
import OpenAI from 'openai';

const deltas = [
  { role: 'assistant', content: '' }, { reasoning_content: 'France ' }, { reasoning_content: 'has ' }, { reasoning_content: 'one.' },
  { content: 'Par' }, { content: 'is.' },
];
const server = http.createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const delta of [...deltas, {}]) {
    const choice = { index: 0, delta, finish_reason: Object.keys(delta).length === 0 ? 'stop' : null };
    response.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [choice] })}\n\n`);
  }
  response.end('data: [DONE]\n\n');
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const baseURL = `http://127.0.0.1:${server.address().port}`;
const client = new OpenAI({ apiKey: 'none', baseURL, maxRetries: 0 });
const message = await client.chat.completions.stream({ model: 'm', messages: [{ role: 'user', content: 'Go.' }] }).finalMessage();
const node = [message.reasoning_content, message.content];
const python = JSON.parse((await promisify(execFile)('venv/bin/python', ['final.py', baseURL])).stdout);
server.close();
console.log('Node', node, 'Python', python);
assert.deepEqual(node, ['one.', 'Paris.']);
assert.deepEqual(python, ['France has one.', 'Paris.']);
EOF
node run.mjs
