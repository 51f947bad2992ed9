/** Codex CLI, without a terminal (`codex exec`). */
import { mkdirSync, writeFileSync } from 'node:fs';
import { bin, type Client, jsonLines } from '../client.ts';
import { IDLE_MS } from '../scenario.ts';

export const codex: Client = {
  name: 'codex',
  package: '@openai/codex',
  tools: {
    // It cuts what a command says unless the call names a length.
    readFile: (path) => ({
      name: 'exec_command',
      arguments: { cmd: `cat ${path}`, max_output_tokens: 30_000 },
    }),
    runCommand: (cmd) => ({ name: 'exec_command', arguments: { cmd } }),
    withoutArguments: () => ({ name: 'list_mcp_resources', arguments: {} }),
    readImage: (path) => ({ name: 'view_image', arguments: { path } }),
    recovers: 'not by itself',
  },
  configure({ home, url, model }) {
    mkdirSync(`${home}/.codex`, { recursive: true });
    writeFileSync(
      `${home}/.codex/config.toml`,
      `model = "${model}"
model_provider = "tollgate"
model_context_window = 163840

[model_providers.tollgate]
name = "Tollgate"
base_url = "${url}/v1"
env_key = "TOLLGATE_API_KEY"
wire_api = "responses"
stream_idle_timeout_ms = ${IDLE_MS}
`,
    );
  },
  ask: (place, { prompt, first, image }) => ({
    command: bin(place, 'codex'),
    args: [
      'exec',
      ...(first ? [] : ['resume', '--last']),
      ...['--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', '--json'],
      ...(image ? ['--image', image] : []),
      ...['--', prompt],
    ],
    env: { TOLLGATE_API_KEY: place.apiKey },
    says: (stdout) =>
      jsonLines(stdout).findLast(({ item }) => item?.type === 'agent_message')?.item.text ?? '',
  }),
};
