/**
 * Any answer that this API gives may be sent back as history, in every dialect, whole or assembled from the stream by the
 * client's own library, and reads the same again: what was said, thought and called.
 */
import Anthropic from '@anthropic-ai/sdk';
import fc from 'fast-check';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import type { ChatMessage, FinishReason, NodeChunk } from '../../gpu-pool/protocol/schemas.ts';
import { withObjectArguments } from '../../worker/domain/engine-text.ts';
import { nanoUsd } from '../../worker/domain/money.ts';
import { anthropicMessages } from '../../worker/gateway/dialects/anthropic-messages.ts';
import type { Dialect } from '../../worker/gateway/dialects/dialect.ts';
import { openaiChat } from '../../worker/gateway/dialects/openai-chat.ts';
import { openaiResponses } from '../../worker/gateway/dialects/openai-responses.ts';
import type { AnswerEnd } from './formatted-answer.ts';
import { eventsOf, wholeOf } from './formatted-answer.ts';

const RUNS = 150;
const HEAD = {
  requestId: 'req_1',
  createdAtMs: 1_700_000_000_123,
  modelId: 'm',
  revision: 'r',
  ignored: ['x'],
};
const END: AnswerEnd = {
  usage: { promptTokens: 9, cachedTokens: 1, completionTokens: 5, reasoningTokens: 1 },
  charge: nanoUsd(7),
  ranOut: null,
};
const USAGE = { prompt_tokens: 9, cached_tokens: 1, completion_tokens: 5, reasoning_tokens: 1 };

type Delta = NodeChunk['choices'][number]['delta'];

/** Arguments as engines leave them: whole, empty, missing, cut off, and of a type that is no object. */
const args = fc.constantFrom(
  undefined,
  '',
  '{}',
  '{"a":1}',
  '{"a":null,"b":"é"}',
  '{"a":"x',
  '[1]',
  '2',
  ' ',
);
const pieces = fc.array(fc.string({ unit: 'grapheme', maxLength: 8 }), { maxLength: 3 });
const call = fc.record({ name: fc.constantFrom('f', 'get_weather'), args, cut: fc.nat(4) });
const answer = fc.record({
  thought: pieces,
  text: pieces,
  calls: fc.array(call, { maxLength: 3 }),
  finish: fc.constantFrom<FinishReason | null>('stop', 'length', 'tool_calls', 'content_filter', null),
});
type Answer = typeof answer extends fc.Arbitrary<infer T> ? T : never;

function chunksOf({ thought, text, calls, finish }: Answer): NodeChunk[] {
  const deltas: Delta[] = [
    ...thought.map((reasoning_content) => ({ reasoning_content })),
    ...text.map((content) => ({ content })),
    ...calls.flatMap(({ name, args: written, cut }, index): Delta[] => {
      const first = { index, id: `call_${index}`, type: 'function' as const, function: { name } };
      if (written === undefined) return [{ tool_calls: [first] }];
      const begun = { ...first, function: { name, arguments: written.slice(0, cut) } };
      return [
        { tool_calls: [begun] },
        { tool_calls: [{ index, function: { arguments: written.slice(cut) } }] },
      ];
    }),
  ];
  const chunks = deltas.map((delta) => ({
    choices: [{ index: 0, delta, finish_reason: null }],
    usage: USAGE,
  }));
  const end = { choices: [{ index: 0, delta: {}, finish_reason: finish as FinishReason }], usage: USAGE };
  return finish === null ? chunks : [...chunks, end];
}

const USER = { role: 'user' as const, content: 'Hi' };
const question = {
  chat: { model: 'm', messages: [USER] },
  responses: { model: 'm', input: [USER] },
  messages: { model: 'm', max_tokens: 10, messages: [USER] },
};

/** The answer as the edge sends it: an object, or the bytes of a stream. */
function answered(dialect: Dialect, body: object, chunks: readonly NodeChunk[]) {
  const read = dialect.read({ ...body }, new Headers());
  if (!read.ok) throw new Error(JSON.stringify(read.error));
  const whole = wholeOf(read.dialectRequest, HEAD);
  const events = eventsOf(read.dialectRequest, HEAD);
  let streamed = '';
  for (const chunk of chunks) {
    whole.chunk(structuredClone(chunk));
    streamed += events.chunk(structuredClone(chunk));
  }
  const object = JSON.parse(JSON.stringify(whole.end(END)));
  return { object, streamed: streamed + events.end(END) };
}

/** A server that answers with what it is given. */
const client = (streamed: string) => ({
  apiKey: 'k',
  maxRetries: 0,
  fetch: async () => new Response(streamed, { headers: { 'content-type': 'text/event-stream' } }),
});

const DIALECTS = {
  chat: {
    whole: ({ choices }: { choices: { message: object }[] }) => [choices[0]!.message],
    async streamed(events: string) {
      const stream = new OpenAI(client(events)).chat.completions.stream(question.chat);
      const [choice] = (await stream.finalChatCompletion().catch(() => stream.currentChatCompletionSnapshot))!
        .choices;
      return [JSON.parse(JSON.stringify(choice!.message))];
    },
    dialect: openaiChat,
    body: question.chat,
    next: (said: object[]) => ({ ...question.chat, messages: [USER, ...said, USER] }),
  },
  responses: {
    whole: ({ output }: { output: object[] }) => output,
    async streamed(events: string) {
      const stream = new OpenAI(client(events)).responses.stream(question.responses);
      return JSON.parse(JSON.stringify((await stream.finalResponse()).output));
    },
    dialect: openaiResponses,
    body: question.responses,
    next: (said: object[]) => ({ ...question.responses, input: [USER, ...said, USER] }),
  },
  messages: {
    // The whole message, with fields that are none of a history's, as well as its role and content.
    whole: (message: object) => [message],
    async streamed(events: string) {
      const message = await new Anthropic(client(events)).messages.stream(question.messages).finalMessage();
      const { role, content } = JSON.parse(JSON.stringify(message));
      return [{ role, content }];
    },
    dialect: anthropicMessages,
    body: question.messages,
    next: (said: object[]) => ({ ...question.messages, messages: [USER, ...said, USER] }),
  },
} as const;
type Name = keyof typeof DIALECTS;

function readBack(name: Name, said: object[]): Extract<ChatMessage, { role: 'assistant' }>[] {
  const { dialect, next } = DIALECTS[name];
  const read = dialect.read(next(said) as Record<string, unknown>, new Headers());
  if (!read.ok) throw new Error(`${JSON.stringify(read.error)} for ${JSON.stringify(said)}`);
  expect(read.dialectRequest.request.ignored).toEqual([]);
  const messages = read.dialectRequest.request.generate.messages!.map(withObjectArguments);
  expect([messages[0], messages.at(-1)]).toEqual([USER, USER]);
  return messages.slice(1, -1).map((message) => {
    if (message.role !== 'assistant') throw new Error(`a turn of ${message.role}`);
    return message;
  });
}

/** The texts, thoughts and calls of an assistant's turns, joined, so that their number makes no difference. */
function meaning(turns: Extract<ChatMessage, { role: 'assistant' }>[]) {
  const calls = turns.flatMap(({ tool_calls = [] }) => tool_calls);
  return {
    text: turns.map(({ content }) => content ?? '').join(''),
    thought: turns.map(({ reasoning_content }) => reasoning_content ?? '').join(''),
    calls: calls.map(({ id, function: { name } }) => ({ id, name })),
    arguments: calls.map(({ function: { arguments: written } }) => JSON.parse(written)),
  };
}

type Form = 'whole' | 'streamed';

/** The calls that history has. A whole message leaves one out that was cut off, since clients run every call that they find. */
function callsInHistory(name: Name, form: Form, { calls, finish }: Answer): Answer['calls'] {
  const isCut = finish !== 'stop' && finish !== 'tool_calls';
  const leavesOut = name === 'messages' && form === 'whole' && isCut && !isObject(calls.at(-1)?.args);
  return leavesOut ? calls.slice(0, -1) : calls;
}

function isObject(json: string | undefined): boolean {
  try {
    const value: unknown = JSON.parse(json ?? '');
    return typeof value === 'object' && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** The arguments that the model is shown again. Messages has objects only, so any others are an empty one there. */
function expectedArguments(name: Name, written: string | undefined): unknown {
  const call = { id: '', type: 'function' as const, function: { name: 'f', arguments: written ?? '' } };
  const message = withObjectArguments({ role: 'assistant', content: null, tool_calls: [call] });
  const value = JSON.parse(message.role === 'assistant' ? message.tool_calls![0]!.function.arguments : '');
  if (name !== 'messages' || isObject(written)) return value;
  // Anthropic's library reads as much as it can of an object that was cut off.
  return 'incomplete_arguments' in value ? expect.anything() : {};
}

describe.each(Object.keys(DIALECTS) as Name[])('any answer of %s is history', (name) => {
  const property = (form: Form) =>
    fc.asyncProperty(answer, async (said) => {
      // Anthropic's library cannot assemble arguments that are no object at all, whoever sends them.
      const assembles = said.calls.every(({ args: written }) => !written || written.startsWith('{'));
      fc.pre(name !== 'messages' || form === 'whole' || assembles);
      const { dialect, body, whole, streamed } = DIALECTS[name];
      const sent = answered(dialect, body, chunksOf(said));
      const history = form === 'whole' ? whole(sent.object) : await streamed(sent.streamed);
      const turns = readBack(name, history);
      const calls = callsInHistory(name, form, said);
      expect(meaning(turns)).toEqual({
        text: said.text.join(''),
        // OpenAI's library keeps the last piece of a field that it does not know, and DeepSeek's `reasoning_content` is one.
        thought: name === 'chat' && form === 'streamed' ? expect.any(String) : said.thought.join(''),
        calls: calls.map((each, index) => ({ id: `call_${index}`, name: each.name })),
        arguments: calls.map(({ args: written }) => expectedArguments(name, written)),
      });
      for (const { content, tool_calls } of turns)
        if (content === null) expect(tool_calls).not.toHaveLength(0);
      expect(turns.length).toBeLessThanOrEqual(1);
    });

  it('as one object', () => fc.assert(property('whole'), { numRuns: RUNS }));
  it('as its library assembles the stream', () => fc.assert(property('streamed'), { numRuns: RUNS }));
});
