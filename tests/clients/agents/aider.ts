/** aider, which has no tools: it reads and writes files by the texts of its messages. */
import type { Client } from '../client.ts';

export const aider: Client = {
  name: 'aider',
  package: 'aider-chat',
  tools: {
    readFile: () => null,
    runCommand: () => null,
    withoutArguments: () => null,
    readImage: () => null,
    recovers: 'not by itself',
  },
  sendsTools: false,
  without: { 'image-in-message': 'It sends images only to models that it knows to see.' },
  ask: ({ installed, url, apiKey, model }, { prompt, first }) => ({
    command: `${installed}/venv-aider/bin/python`,
    args: [
      ...['-m', 'aider'],
      ...['--model', `openai/${model}`, '--openai-api-base', `${url}/v1`, '--openai-api-key', apiKey],
      ...[
        '--chat-mode',
        'ask',
        '--message',
        prompt,
        '--yes-always',
        '--no-git',
        '--no-pretty',
        '--map-tokens',
        '0',
      ],
      ...['--no-check-update', '--analytics-disable', '--no-show-model-warnings', '--no-show-release-notes'],
      ...(first ? [] : ['--restore-chat-history']),
    ],
    // The answer stands between its thought and the count of its tokens.
    says: (stdout) =>
      /(?:►\s*\*\*ANSWER\*\*|^\s*$)([\s\S]*?)\n+Tokens:/m
        .exec(stdout)?.[1]
        ?.trim()
        .split(/\n{2,}/)
        .at(-1) ?? '',
  }),
};
