/** An ending says what the answer is, in every dialect, streamed and whole, whatever its engine says. */
import { describe, expect, it } from 'vitest';
import type { FinishReason, NodeChunk } from '../../gpu-pool/protocol/schemas.ts';
import { nodeChunk, streamedText, wholeObject } from './dialect-answer.ts';

const call = (args: string, id = 'a') =>
  nodeChunk({ tool_calls: [{ index: 0, id, type: 'function', function: { name: 'now', arguments: args } }] });
const text = nodeChunk({ content: 'Hi.' });
const finish = (reason: FinishReason, stop_sequence?: string): NodeChunk => ({
  ...text,
  choices: [{ index: 0, delta: {}, finish_reason: reason, ...(stop_sequence && { stop_sequence }) }],
});

/** The content of an answer, and its ending: chat's, Anthropic's with its sequence, and why a response is incomplete. */
const CASES: [name: string, NodeChunk[], string, [string, string | null], string | null][] = [
  ['a text', [text, finish('stop')], 'stop', ['end_turn', null], null],
  ['nothing', [finish('stop')], 'stop', ['end_turn', null], null],
  ['a text that claims calls', [text, finish('tool_calls')], 'stop', ['end_turn', null], null],
  ['calls that claim none', [call('{}'), finish('stop')], 'tool_calls', ['tool_use', null], null],
  ['calls', [call('{}'), finish('tool_calls')], 'tool_calls', ['tool_use', null], null],
  ['a stop sequence', [text, finish('stop', 'END')], 'stop', ['stop_sequence', 'END'], null],
  [
    'a stop sequence behind a call',
    [call('{}'), finish('stop', 'END')],
    'tool_calls',
    ['tool_use', null],
    null,
  ],
  ['a limit', [text, finish('length')], 'length', ['max_tokens', null], 'max_output_tokens'],
  [
    'a limit with a sequence',
    [text, finish('length', 'END')],
    'length',
    ['max_tokens', null],
    'max_output_tokens',
  ],
  [
    'a limit behind whole calls',
    [call('{}'), finish('length')],
    'length',
    ['max_tokens', null],
    'max_output_tokens',
  ],
  [
    'a limit within a call',
    [call('{"a'), finish('length')],
    'length',
    ['max_tokens', null],
    'max_output_tokens',
  ],
  ['a filter', [text, finish('content_filter')], 'content_filter', ['refusal', null], 'content_filter'],
  [
    'an engine without room',
    [text, finish('insufficient_system_resource')],
    'insufficient_system_resource',
    ['max_tokens', null],
    'max_output_tokens',
  ],
  ['no end at all', [text], 'length', ['max_tokens', null], 'max_output_tokens'],
  [
    'a call that nobody named',
    [nodeChunk({ tool_calls: [{ index: 0, function: { arguments: '{}' } }] }), finish('tool_calls')],
    'stop',
    ['end_turn', null],
    null,
  ],
];

// biome-ignore lint/suspicious/noExplicitAny: tests look into them
const events = (stream: string): any[] =>
  [...stream.matchAll(/^data: (\{.+)$/gm)].map(([, data]) => JSON.parse(data!));

describe.each(CASES)('%s', (_, chunks, chat, [reason, sequence], incomplete) => {
  it('in chat', async () => {
    expect((await wholeObject('openaiChat', chunks)).choices[0].finish_reason).toBe(chat);
    const finishes = events(await streamedText('openaiChat', chunks)).flatMap(({ choices }) =>
      choices.flatMap((choice: { finish_reason: string | null }) => choice.finish_reason ?? []),
    );
    expect(finishes).toEqual([chat]);
  });

  it('in Messages', async () => {
    const expected = { stop_reason: reason, stop_sequence: sequence };
    expect(await wholeObject('anthropicMessages', chunks)).toMatchObject(expected);
    const stream = events(await streamedText('anthropicMessages', chunks));
    expect(stream.find(({ type }) => type === 'message_delta').delta).toMatchObject(expected);
  });

  it('in Responses', async () => {
    const expected = {
      status: incomplete === null ? 'completed' : 'incomplete',
      incomplete_details: incomplete === null ? null : { reason: incomplete },
    };
    const whole = await wholeObject('openaiResponses', chunks);
    expect(whole).toMatchObject(expected);
    const last = events(await streamedText('openaiResponses', chunks)).at(-1);
    expect(last).toMatchObject({ type: `response.${expected.status}`, response: expected });
    expect(last.response.output).toEqual(whole.output);
  });
});

describe('each choice has an ending of its own', () => {
  it('in chat', async () => {
    const of = (index: number, chunk: NodeChunk) => ({
      ...chunk,
      choices: chunk.choices.map((choice) => ({ ...choice, index })),
    });
    const chunks = [of(0, call('{}')), of(1, text), of(1, finish('tool_calls')), of(0, finish('stop'))];
    const { choices } = await wholeObject('openaiChat', chunks, { body: { n: 2 } });
    expect(choices.map(({ finish_reason }: { finish_reason: string }) => finish_reason)).toEqual([
      'tool_calls',
      'stop',
    ]);
  });
});

describe('a call that was cut off', () => {
  it('is no block of a whole message, since clients run every call that they find', async () => {
    const { content } = await wholeObject('anthropicMessages', [
      text,
      call('{}'),
      call('{"a', 'b'),
      finish('length'),
    ]);
    expect(content.map(({ type, id }: { type: string; id?: string }) => id ?? type)).toEqual(['text', 'a']);
  });

  it('is an incomplete item of a response', async () => {
    const { output } = await wholeObject('openaiResponses', [call('{}'), call('{"a', 'b'), finish('length')]);
    expect(output.map(({ status }: { status: string }) => status)).toEqual(['completed', 'incomplete']);
  });
});
