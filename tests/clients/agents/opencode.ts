/** opencode, without a terminal (`opencode run`), through its provider for OpenAI-compatible APIs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { bin, type Client, jsonLines } from '../client.ts';

export const opencode: Client = {
  name: 'opencode',
  package: 'opencode-ai',
  tools: {
    readFile: (path) => ({ name: 'read', arguments: { filePath: path } }),
    runCommand: (command) => ({ name: 'bash', arguments: { command, description: 'Count lines' } }),
    withoutArguments: () => null,
    readImage: (path) => ({ name: 'read', arguments: { filePath: path } }),
    recovers: 'by a summary',
  },
  configure({ home, url, model }) {
    mkdirSync(`${home}/.config/opencode`, { recursive: true });
    const options = { baseURL: `${url}/v1`, apiKey: '{env:TOLLGATE_API_KEY}' };
    const limit = { context: 163_840, output: 32_000 };
    writeFileSync(
      `${home}/.config/opencode/opencode.json`,
      JSON.stringify({
        autoupdate: false,
        share: 'disabled',
        model: `tollgate/${model}`,
        provider: {
          tollgate: {
            npm: '@ai-sdk/openai-compatible',
            name: 'Tollgate',
            options,
            models: { [model]: { name: model, reasoning: true, tool_call: true, limit } },
          },
        },
      }),
    );
  },
  ask: (place, { prompt, first, image }) => ({
    command: bin(place, 'opencode'),
    args: [
      ...['run', '--format', 'json', '--auto'],
      ...(first ? [] : ['--continue']),
      ...(image ? ['--file', image] : []),
      ...['--', prompt],
    ],
    env: { TOLLGATE_API_KEY: place.apiKey },
    says: (stdout) => jsonLines(stdout).findLast(({ type }) => type === 'text')?.part.text ?? '',
  }),
};
