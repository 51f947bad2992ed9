#!/usr/bin/env bash
# Codex CLI: the name of the model decides the shape of the tools it declares, at one and the same provider.
#
# Guess: a client declares the same tools to every model; `tools` of a Responses request has functions, and the model's name is only
#   passed on.
# Seen: with the same configuration, only `model` changed:
#   - a name it does not know: functions plus a `namespace` that holds functions; no apply_patch, so files are edited by shell
#   - gpt-5.5: no namespace, but `custom` apply_patch (free text, no JSON) and `tool_search`
#   - gpt-6.2-sol: no `tools` field at all; they are in an `additional_tools` item at the start of `input`
#   A server tested with one name has not been tested with another, and one that reads `tools` alone sees a chat without tools.
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

const rows = [
  ['some-model', { tools: true, additional: false, kinds: ['function', 'namespace', 'web_search'], applyPatch: false }],
  ['gpt-5.5', { tools: true, additional: false, kinds: ['custom', 'function', 'tool_search', 'web_search'], applyPatch: true }],
  ['gpt-6.2-sol', { tools: false, additional: true }],
];

/** The first request that Codex makes for a model. It is answered with an error, which ends the run. */
async function firstRequest(model, index) {
  let body = null;
  const server = http.createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    if (request.method === 'POST') body ??= JSON.parse(text);
    response.writeHead(request.method === 'POST' ? 400 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: { message: 'Enough was seen.', type: 'invalid_request_error' } }));
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const home = `${process.cwd()}/home-${index}`;
  mkdirSync(home);
  writeFileSync(`${home}/config.toml`, [
    `model = "${model}"`, 'model_provider = "local"', '[model_providers.local]', 'name = "Local"',
    `base_url = "http://127.0.0.1:${server.address().port}/v1"`, 'wire_api = "responses"', 'env_key = "LOCAL_KEY"',
    'stream_max_retries = 0', 'request_max_retries = 0', '',
  ].join('\n'));
  const codex = spawn('node_modules/.bin/codex', ['exec', '--skip-git-repo-check', '--ephemeral', '-C', home, 'Say done.'], {
    env: { PATH: process.env.PATH, HOME: home, CODEX_HOME: home, LOCAL_KEY: 'none' },
    stdio: 'ignore',
  });
  await new Promise((closed) => codex.on('close', closed));
  server.closeAllConnections();
  server.close();
  if (body === null) throw new Error('Codex made no request');
  return body;
}

let wrong = 0;
for (const [index, [model, expected]] of rows.entries()) {
  const body = await firstRequest(model, index);
  const tools = body.tools ?? [];
  const seen = { tools: 'tools' in body, additional: body.input.some((item) => item.type === 'additional_tools') };
  if (seen.tools) {
    seen.kinds = [...new Set(tools.map((tool) => tool.type))].sort();
    seen.applyPatch = tools.some((tool) => tool.name === 'apply_patch');
  }
  if (JSON.stringify(seen) !== JSON.stringify(expected)) wrong += 1;
  console.log(model, JSON.stringify(seen));
}
process.exit(wrong === 0 ? 0 : 1);
EOF
node run.mjs
