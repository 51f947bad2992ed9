/** Clients recognize the errors on which they act: of every kind, in every dialect, as they receive it. */
import { describe, expect, it } from 'vitest';
import { nanoUsd } from '../../worker/domain/money.ts';
import { anthropicMessages } from '../../worker/gateway/dialects/anthropic-messages.ts';
import { type Dialect, envelopeIn } from '../../worker/gateway/dialects/dialect.ts';
import { openaiChat } from '../../worker/gateway/dialects/openai-chat.ts';
import { openaiCompletions } from '../../worker/gateway/dialects/openai-completions.ts';
import { openaiResponses } from '../../worker/gateway/dialects/openai-responses.ts';
import { type ApiError, errorResponseWith } from '../../worker/http/api-error.ts';
import { type Action, CLIENTS, type ReceivedError, type Spoken } from './clients-of-errors.ts';
import { eventsOf } from './formatted-answer.ts';

const ORIGIN = 'https://api.example';
const DIALECTS: Record<Spoken, { dialect: Dialect; promptField: string }> = {
  chat: { dialect: openaiChat, promptField: 'messages' },
  completions: { dialect: openaiCompletions, promptField: 'prompt' },
  responses: { dialect: openaiResponses, promptField: 'input' },
  messages: { dialect: anthropicMessages, promptField: 'messages' },
};
const MODEL = 'deepseek-r1';
const cap = { usedNanoUsd: nanoUsd(1_000), capNanoUsd: nanoUsd(1_000), resetAtMs: 1_800_000_000_000 };
const limited = { scope: 'key' as const, limit: 60, used: 60, retryAfterMs: 11_054 };

const tooLong = (promptTokens: number | { atLeast: number }) => (param: string) =>
  ({ reason: 'context_length_exceeded', param, model: MODEL, contextTokens: 131_072, promptTokens }) as const;

/** Errors of a request that generates, each with what a client should do about it. */
const ERRORS: readonly [string, Action, (promptField: string) => ApiError][] = [
  ['a prompt that a node counted', 'shorten', tooLong(157_526)],
  ['a prompt that only its bytes show to be too long', 'shorten', tooLong({ atLeast: 140_000 })],
  ['a body that is too large', 'shorten', () => ({ reason: 'body_too_large', limitBytes: 4_194_304 })],
  ['too many requests a minute', 'retry', () => ({ reason: 'requests_per_minute', ...limited })],
  ['too many tokens a minute', 'retry', () => ({ reason: 'tokens_per_minute', ...limited, wanted: 100 })],
  ['too many requests in flight', 'retry', () => ({ reason: 'concurrency', ...limited })],
  ['nodes that are all busy', 'retry', () => ({ reason: 'overloaded', retryAfterMs: 2_000 })],
  ['a model that no node serves', 'retry', () => ({ reason: 'model_not_available', model: MODEL })],
  ['a node that failed', 'retry', () => ({ reason: 'node_failed' })],
  ['no first token in time', 'retry', () => ({ reason: 'first_token_timeout', deadlineMs: 60_000 })],
  ['a fault of ours', 'retry', () => ({ reason: 'internal' })],
  ['a key that is none', 'key', () => ({ reason: 'unauthenticated' })],
  [
    'an unknown model',
    'model',
    () => ({ reason: 'model_not_found', requested: 'claude-haiku-4-5', available: [MODEL] }),
  ],
  [
    'a model that ended',
    'model',
    () => ({ reason: 'model_ended', model: MODEL, endedAtMs: 0, successor: null }),
  ],
  [
    'no credit',
    'money',
    () => ({
      reason: 'insufficient_balance',
      requiredNanoUsd: nanoUsd(2_000_000),
      availableNanoUsd: nanoUsd(0),
    }),
  ],
  ['a cap of the key', 'give up', () => ({ reason: 'key_cap_reached', ...cap })],
  ['a cap of the account', 'give up', () => ({ reason: 'account_cap_reached', ...cap })],
  ['a model that the key may not use', 'give up', () => ({ reason: 'model_forbidden', model: MODEL })],
  ['an account that is suspended', 'give up', () => ({ reason: 'account_suspended', contact: null })],
  [
    'a field of another type',
    'give up',
    () => ({
      reason: 'invalid_field',
      param: 'max_tokens',
      message: '`max_tokens`: must be a whole number from 1.',
    }),
  ],
];

async function received(spoken: Spoken, error: ApiError): Promise<ReceivedError> {
  const { dialect } = DIALECTS[spoken];
  const body = dialect.errorBody(envelopeIn(dialect, error, ORIGIN), 'req_1');
  const response = errorResponseWith(error, body);
  const text = await response.text();
  const { error: fields } = JSON.parse(text) as {
    error: { code?: string; type?: string; message: string };
  };
  const shouldRetry = response.headers.get('x-should-retry');
  return {
    ...{ status: response.status, shouldRetry, text, message: fields.message },
    ...{ code: fields.code, type: fields.type },
  };
}

/** Actions that only some clients tell apart; the others give up, which is right. */
const ACTED_ON_BY: Partial<Record<Action, readonly string[]>> = {
  shorten: ['Claude Code', 'Codex', 'opencode', 'Cline', 'Roo Code', 'litellm', 'LangChain'],
  key: ['Claude Code', 'litellm'],
  model: ['Claude Code', 'litellm'],
  money: ['Claude Code'],
};
/** A body that is too large is no prompt that is too long to those who match the words of a prompt alone. */
const MEETS_413 = ['Claude Code', 'opencode'];

describe.each(
  CLIENTS.flatMap((client) => client.speaks.map((spoken) => ({ client, spoken, name: client.name }))),
)('$name at $spoken', ({ client, spoken }) => {
  it.each(ERRORS)('meets %s, and should: %s', async (what, action, errorOf) => {
    const error = await received(spoken, errorOf(DIALECTS[spoken].promptField));
    const tellsApart =
      (ACTED_ON_BY[action]?.includes(client.name) ?? true) &&
      (what !== 'a body that is too large' || MEETS_413.includes(client.name));
    expect(client.act(error)).toBe(tellsApart ? action : 'give up');
  });
});

describe('the numbers of a prompt that is too long', () => {
  it.each(Object.keys(DIALECTS) as Spoken[])('both stand in the message of %s', async (spoken) => {
    for (const [promptTokens, words] of [
      [157_526, /(?<!at least )157526 tokens/],
      [{ atLeast: 140_000 }, /at least 140000 tokens/],
    ] as const) {
      const { message } = await received(spoken, tooLong(promptTokens)(DIALECTS[spoken].promptField));
      expect(message).toMatch(words);
      expect(message).toContain('131072');
    }
  });

  it('are in the words of Anthropic, with nothing before them', async () => {
    const { message } = await received('messages', tooLong(157_526)('messages'));
    expect(message).toMatch(/^prompt is too long: 157526 tokens > 131072 maximum\b/);
  });

  it('are in the words of OpenAI', async () => {
    const { message } = await received('chat', tooLong(157_526)('messages'));
    expect(message).toMatch(
      /^This model's maximum context length is 131072 tokens\. However, your messages resulted in 157526 tokens\. Please reduce the length of the messages\./,
    );
  });
});

describe('the time to wait', () => {
  it.each(['requests_per_minute', 'tokens_per_minute', 'concurrency'] as const)(
    'stands in the message of %s as Codex reads it',
    async (reason) => {
      const error = { reason, ...limited, wanted: 1 } as ApiError;
      const { message } = await received('responses', error);
      expect(message.match(/try again in\s*(\d+(?:\.\d+)?)\s*(s|ms|seconds?)/i)?.[1]).toBe('12');
    },
  );
});

describe('a stream that fails', () => {
  const head = { requestId: 'req_0', createdAtMs: 0, modelId: MODEL, revision: 'r', ignored: [] };
  const endOf = (spoken: Spoken, error: ApiError) => {
    const { dialect, promptField } = DIALECTS[spoken];
    const content =
      spoken === 'messages' ? { messages: [{ role: 'user', content: 'a' }], max_tokens: 1 } : {};
    const chat = spoken === 'chat' ? { messages: [{ role: 'user', content: 'a' }] } : { [promptField]: 'a' };
    const read = dialect.read({ model: MODEL, stream: true, ...chat, ...content }, new Headers());
    if (!read.ok) throw new Error(JSON.stringify(read.error));
    const text = eventsOf(read.dialectRequest, head).failed(envelopeIn(dialect, error, ORIGIN).error);
    return text
      .trim()
      .split('\n\n')
      .map((event) => ({
        name: event.match(/^event: (.+)$/m)?.[1],
        data: JSON.parse(event.match(/^data: (.+)$/m)![1]!) as Record<string, unknown>,
      }));
  };

  it('ends at Responses with the event that SDKs raise, then with the one that Codex reads', () => {
    const events = endOf('responses', tooLong(157_526)('input'));
    expect(events.map(({ name }) => name).slice(-2)).toEqual(['error', 'response.failed']);
    const [error, failed] = events.slice(-2);
    expect(error!.data).toMatchObject({
      code: 'context_length_exceeded',
      param: 'input',
      error: { code: 'context_length_exceeded', type: 'invalid_request_error' },
    });
    expect(failed!.data.response).toMatchObject({
      status: 'failed',
      error: { code: 'context_length_exceeded', message: expect.stringContaining('157526') },
    });
  });

  it.each<ApiError>([
    { reason: 'broken_off' },
    { reason: 'node_failed' },
    { reason: 'overloaded', retryAfterMs: 2_000 },
    { reason: 'first_token_timeout', deadlineMs: 1 },
  ])('has at Responses a code at which Codex tries again: $reason', (error) => {
    expect(endOf('responses', error).at(-1)!.data.response).toMatchObject({
      error: { code: 'server_error' },
    });
  });

  it.each([
    [{ reason: 'broken_off' } as const, 'api_error'],
    [{ reason: 'overloaded', retryAfterMs: 2_000 } as const, 'overloaded_error'],
    [{ reason: 'first_token_timeout', deadlineMs: 1 } as const, 'timeout_error'],
  ])('has at Messages the type of the same error with a status', (error, type) => {
    expect(endOf('messages', error)).toEqual([
      {
        name: 'error',
        data: expect.objectContaining({ type: 'error', error: expect.objectContaining({ type }) }),
      },
    ]);
  });

  it.each(['chat', 'completions'] as const)('has at %s the envelope that SDKs raise', (spoken) => {
    expect(endOf(spoken, { reason: 'broken_off' })).toEqual([
      {
        name: undefined,
        data: { error: expect.objectContaining({ code: 'node_failed', type: 'server_error' }) },
      },
    ]);
  });
});
