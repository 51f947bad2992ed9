/**
 * Any word in any free text of any dialect: an engine that quotes the whole request in its error is judged by its status
 * alone, for every word that a matcher anywhere knows. Each request goes the way of a real one, from a dialect's body to the
 * agent's answer.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NODE_ERROR_CODES } from '../../../gpu-pool/protocol/constants.ts';
import { anthropicMessages } from '../../../worker/gateway/dialects/anthropic-messages.ts';
import type { Dialect } from '../../../worker/gateway/dialects/dialect.ts';
import { openaiChat } from '../../../worker/gateway/dialects/openai-chat.ts';
import { openaiCompletions } from '../../../worker/gateway/dialects/openai-completions.ts';
import { openaiResponses } from '../../../worker/gateway/dialects/openai-responses.ts';
import { nodeBody } from '../../../worker/gateway/node/request-body.ts';
import { forModel } from '../../../worker/gateway/rendered.ts';
import { R1, R1_RULES } from '../../model-profiles.ts';
import { generate, SALT, setUp } from './helpers.ts';
import { type ChatCall, sse } from './scripted-engine.ts';

/** Words by which an engine, an agent, the edge or a library may once have told causes apart. */
const WORDS = [
  ...NODE_ERROR_CODES,
  ...[
    'The request queue is full.',
    'queue is full',
    'too many requests',
    'overloaded',
    'Service Unavailable',
  ],
  ...[
    'context length',
    'longer than',
    'too long',
    'exceeds the model',
    'exceed max',
    'out of memory',
    'CUDA error',
  ],
  ...['grammar', 'schema', 'response_format', 'regex', 'tool', 'Failed to compile json grammar', 'not found'],
  ...['Internal server error', 'Duplicate request ID detected', 'aborted by a higher priority request'],
  ...[
    'received undefined',
    'Failed query',
    'UNIQUE constraint failed',
    'D1_ERROR',
    'timeout',
    'ECONNREFUSED',
  ],
  ...['429', '503', '"code":503', '{"error":{"code":503}}', '\n\ndata: {"error":{"code":503}}\n\n', '[DONE]'],
  ...['<think>', '</think>', '<｜User｜>', '<｜tool▁calls▁begin｜>', 'stop_sequence', 'insufficient_balance'],
];

const TOGETHER = Array.from({ length: Math.ceil(WORDS.length / 15) }, (_, i) =>
  WORDS.slice(15 * i, 15 * (i + 1)).join(' '),
);

type Body = Record<string, unknown>;
const part = (text: string) => [{ type: 'text', text }];
const user = (content: unknown) => ({ role: 'user', content });
const called = (name: string, args: string) => ({
  role: 'assistant',
  content: null,
  tool_calls: [{ id: 'c', type: 'function', function: { name, arguments: args } }],
});
const schema = (text: string) => ({
  type: 'object',
  description: text,
  properties: { [text]: { enum: [text] } },
});
const named = (text: string) => text.replaceAll(/[^\w-]/g, '_').slice(0, 64);
const tool = (fields: object) => ({ tools: [{ type: 'function', function: { name: 'f', ...fields } }] });
const format = (fields: object) => ({
  response_format: { type: 'json_schema', json_schema: { name: 'a', schema: {}, ...fields } },
});

/** By dialect: the fields that hold a free text, each with a body that has the text there. */
const FIELDS: Record<
  string,
  { dialect: Dialect; base: Body; fields: Record<string, (text: string) => Body> }
> = {
  chat: {
    dialect: openaiChat,
    base: { model: 'm', messages: [user('Hello')] },
    fields: {
      'a message': (text) => ({ messages: [user(text)] }),
      'a part': (text) => ({ messages: [user(part(text))] }),
      'a system prompt': (text) => ({ messages: [{ role: 'system', content: text }, user('Hello')] }),
      'a speaker’s name': (text) => ({ messages: [{ ...user('Hello'), name: text }] }),
      'an earlier answer': (text) => ({ messages: [{ role: 'assistant', content: text }, user('Hello')] }),
      'an earlier call': (text) => ({ messages: [called(text, text), user('Hello')] }),
      'arguments of a call': (text) => ({
        messages: [called('f', JSON.stringify({ [text]: text })), user('Hello')],
      }),
      'a tool’s output': (text) => ({ messages: [{ role: 'tool', tool_call_id: text, content: text }] }),
      'a tool’s name': (text) => tool({ name: named(text) }),
      'a tool’s description': (text) => tool({ description: text }),
      'a tool’s schema': (text) => tool({ parameters: schema(text) }),
      'a format’s name': (text) => format({ name: text, description: text }),
      'a format’s schema': (text) => format({ schema: schema(text) }),
      'a stop sequence': (text) => ({ stop: [text] }),
    },
  },
  messages: {
    dialect: anthropicMessages,
    base: { model: 'm', max_tokens: 5, messages: [user('Hello')] },
    fields: {
      'a message': (text) => ({ messages: [user(text)] }),
      'a block': (text) => ({ messages: [user(part(text))] }),
      'a system prompt': (text) => ({ system: part(text) }),
      'an earlier call': (text) => ({
        messages: [
          {
            role: 'assistant',
            content: [{ type: 'tool_use', id: text, name: text, input: { [text]: text } }],
          },
          user('Hello'),
        ],
      }),
      'a tool’s result': (text) => ({
        messages: [user([{ type: 'tool_result', tool_use_id: text, content: text }])],
      }),
      'a tool’s name': (text) => ({ tools: [{ name: named(text), input_schema: {} }] }),
      'a tool’s description': (text) => ({ tools: [{ name: 'f', description: text, input_schema: {} }] }),
      'a tool’s schema': (text) => ({ tools: [{ name: 'f', input_schema: schema(text) }] }),
      'a stop sequence': (text) => ({ stop_sequences: [text] }),
    },
  },
  responses: {
    dialect: openaiResponses,
    base: { model: 'm', input: 'Hello' },
    fields: {
      'an input': (text) => ({ input: text }),
      instructions: (text) => ({ instructions: text }),
      'an item': (text) => ({ input: [{ role: 'user', content: [{ type: 'input_text', text }] }] }),
      'an earlier call': (text) => ({
        input: [{ type: 'function_call', call_id: text, name: text, arguments: text }, user('Hello')],
      }),
      'a call’s output': (text) => ({
        input: [{ type: 'function_call_output', call_id: text, output: text }],
      }),
      'a tool’s name': (text) => ({ tools: [{ type: 'function', name: named(text) }] }),
      'a tool’s description': (text) => ({ tools: [{ type: 'function', name: 'f', description: text }] }),
      'a tool’s schema': (text) => ({ tools: [{ type: 'function', name: 'f', parameters: schema(text) }] }),
      'a format’s schema': (text) => ({
        text: { format: { type: 'json_schema', name: text, description: text, schema: schema(text) } },
      }),
    },
  },
  completions: {
    dialect: openaiCompletions,
    base: { model: 'm', prompt: 'Hello' },
    fields: {
      'a prompt': (text) => ({ prompt: text }),
      'a stop sequence': (text) => ({ stop: text }),
    },
  },
};

/** How an engine fails while it quotes, and the one code that this means. */
const FAILURES: [string, (call: ChatCall, quoted: string) => void, string][] = [
  ['400', status(400), 'bad_request'],
  ['413', status(413), 'bad_request'],
  ['422', status(422), 'bad_request'],
  ['500', status(500), 'engine_failed'],
  ['503', status(503), 'overloaded'],
  ['400 in a stream', inStream(400), 'bad_request'],
  ['500 in a stream', inStream(500), 'engine_failed'],
  ['503 in a stream', inStream(503), 'overloaded'],
];

function status(code: number) {
  return ({ res }: ChatCall, quoted: string) => {
    res.writeHead(code, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ object: 'error', message: quoted, type: quoted, param: quoted, code: 503 }));
  };
}

function inStream(code: number) {
  return ({ res }: ChatCall, quoted: string) =>
    sse(res, [{ error: { object: 'error', message: quoted, type: quoted, param: quoted, code } }, '[DONE]']);
}

/** The body that the edge sends to a node. */
function sentFor(dialect: Dialect, body: Body): Body {
  const read = dialect.read(body, new Headers());
  if (!read.ok) throw new Error(`the edge refuses ${JSON.stringify(body)}: ${JSON.stringify(read.error)}`);
  return JSON.parse(
    nodeBody(forModel(read.dialectRequest.request, { profile: R1, template: R1_RULES }), {
      max_tokens: 5,
      cache_salt: SALT,
      background: undefined,
    }),
  );
}

describe.each(Object.entries(FIELDS))('a word in the dialect %s', (_, { dialect, base, fields }) => {
  it.each(FAILURES)('decides nothing when the engine fails with %s', async (__, fail, code) => {
    const { agent, edge, engine } = await setUp();
    engine.onChat = (call) => fail(call, JSON.stringify(call.body));
    const outcome = async (body: Body) => {
      const { status: httpStatus, error } = await generate(
        { agent, edge },
        { body: sentFor(dialect, { ...base, ...body }) },
      );
      return [httpStatus, error?.code, error?.message];
    };
    for (const [name, withText] of Object.entries(fields)) {
      const expected = await outcome(withText('harmless'));
      expect(expected[1]).toBe(code);
      // All of them, as many together as a stop sequence may hold, and some by themselves.
      const texts = [...TOGETHER, ...fc.sample(fc.constantFrom(...WORDS), 3)];
      for (const text of texts)
        expect([name, text, ...(await outcome(withText(text)))]).toEqual([name, text, ...expected]);
    }
  });

  it('reaches the engine in every field', () => {
    for (const [name, withText] of Object.entries(fields))
      expect([name, JSON.stringify(sentFor(dialect, { ...base, ...withText('Marker') }))]).toEqual([
        name,
        expect.stringContaining('Marker'),
      ]);
  });
});
