/** Cline's command line, through its provider for OpenAI-compatible APIs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { bin, type Client, jsonLines } from '../client.ts';

const PROVIDER = 'openai-compatible';

export const cline: Client = {
  name: 'cline',
  package: 'cline',
  tools: {
    readFile: (path) => ({ name: 'read_files', arguments: { files: [{ path }] } }),
    // It gives 8,000 characters of each file.
    readLong: (path) => ({
      name: 'read_files',
      arguments: { files: Array.from({ length: 6 }, () => ({ path })) },
    }),
    runCommand: (command) => ({ name: 'run_commands', arguments: { commands: [command] } }),
    withoutArguments: () => ({ name: 'team_status', arguments: {} }),
    readImage: (path) => ({ name: 'read_files', arguments: { files: [{ path }] } }),
    recovers: 'by cutting it',
  },
  configure({ home, url, model, apiKey }) {
    const folder = `${home}/.cline/data/settings`;
    mkdirSync(folder, { recursive: true });
    const settings = { provider: PROVIDER, apiKey, model, baseUrl: `${url}/v1` };
    const providers = {
      [PROVIDER]: { settings, updatedAt: '2026-01-01T00:00:00.000Z', tokenSource: 'manual' },
    };
    const file = { version: 1, lastUsedProvider: PROVIDER, modes: {}, providers };
    writeFileSync(`${folder}/providers.json`, JSON.stringify(file));
  },
  without: {
    'image-in-message': 'The command line takes no image.',
    resume: 'Without a terminal its command line takes no prompt for an earlier conversation.',
  },
  goesOn: false,
  ask: (place, { prompt }) => ({
    command: bin(place, 'cline'),
    args: ['--json', '-P', PROVIDER, '-m', place.model, prompt],
    env: { CLINE_TELEMETRY_DISABLED: '1' },
    says: (stdout) => jsonLines(stdout).at(-1)?.text ?? '',
  }),
};
