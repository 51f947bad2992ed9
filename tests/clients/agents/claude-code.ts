/** Claude Code, without a terminal (`claude -p`). */
import { bin, type Client, jsonLines } from '../client.ts';
import { IDLE_MS } from '../scenario.ts';

export const claudeCode: Client = {
  name: 'claude-code',
  package: '@anthropic-ai/claude-code',
  tools: {
    readFile: (path) => ({ name: 'Read', arguments: { file_path: path } }),
    runCommand: (command) => ({ name: 'Bash', arguments: { command, description: 'Count lines' } }),
    withoutArguments: () => ({ name: 'ListAgents', arguments: {} }),
    readImage: (path) => ({ name: 'Read', arguments: { file_path: path } }),
    recovers: 'by a summary',
  },
  without: { 'image-in-message': 'The command line takes no image.' },
  ask: (place, { prompt, first }) => ({
    command: bin(place, 'claude'),
    args: [
      ...['-p', prompt, '--output-format', 'json', '--dangerously-skip-permissions'],
      ...(first ? [] : ['--continue']),
    ],
    env: {
      ANTHROPIC_BASE_URL: place.url,
      ANTHROPIC_AUTH_TOKEN: place.apiKey,
      ANTHROPIC_MODEL: place.model,
      ANTHROPIC_SMALL_FAST_MODEL: place.model,
      CLAUDE_ENABLE_STREAM_WATCHDOG: '1',
      CLAUDE_STREAM_IDLE_TIMEOUT_MS: String(IDLE_MS),
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      // It runs as root only where it is told that the machine is a sandbox.
      IS_SANDBOX: '1',
    },
    says: (stdout) => jsonLines(stdout).findLast((event) => event.type === 'result')?.result ?? '',
  }),
};
