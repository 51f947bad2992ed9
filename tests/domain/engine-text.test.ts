/** Repairs of a client's history: it may hold texts that the engine would refuse. */
import { describe, expect, it } from 'vitest';
import type { ChatMessage } from '../../gpu-pool/protocol/schemas.ts';
import { wellFormedJson } from '../../worker/domain/engine-text.ts';
import { rendered } from '../../worker/gateway/rendered.ts';
import { R1_RULES } from '../model-profiles.ts';

function sent(request: Parameters<typeof rendered>[0]) {
  const { rendered: members } = rendered(request, R1_RULES);
  return JSON.parse(`{${members}}`) as { messages: ChatMessage[]; stop?: string[]; prompt?: string };
}

function argumentsSent(written: string): string {
  const call = { id: 'c', type: 'function' as const, function: { name: 'f', arguments: written } };
  const { messages } = sent({ messages: [{ role: 'assistant', content: null, tool_calls: [call] }] });
  const [message] = messages;
  if (message?.role !== 'assistant') throw new Error('no message');
  return message.tool_calls![0]!.function.arguments;
}

describe('arguments of earlier calls', () => {
  it.each([
    ['', '{}'],
    [' \n', '{}'],
    ['{"city": "Par', '{"incomplete_arguments":"{\\"city\\": \\"Par"}'],
    ['null', '{"value":null}'],
    ['["a"]', '{"value":["a"]}'],
    ['"x"', '{"value":"x"}'],
    ['{"a": NaN}', '{"incomplete_arguments":"{\\"a\\": NaN}"}'],
    ['{"a": "\\ud83d"}', '{"a": "\uFFFD"}'],
    ['{ "a": "\\ud83d\\ude00" }', '{ "a": "\\ud83d\\ude00" }'],
    ['{ "kept":1.0 }', '{ "kept":1.0 }'],
  ])('%j become %j', (written, expected) => {
    expect(argumentsSent(written)).toBe(expected);
    expect(typeof JSON.parse(argumentsSent(written))).toBe('object');
  });
});

describe('halves of surrogate pairs', () => {
  it('are replaced wherever text goes to the engine, and nothing else is', () => {
    const text = 'a\ud83d b \ude00\ud83d\ude00 \\ud83d \\\ud83d';
    const request = sent({
      messages: [
        { role: 'user', content: text },
        { role: 'tool', content: text, tool_call_id: 'c' },
      ],
      prompt: text,
      stop: [text],
    });
    const whole = text.toWellFormed();
    expect(request.messages.map(({ content }) => content)).toEqual([whole, whole]);
    expect([request.prompt, request.stop]).toEqual([whole, [whole]]);
  });

  it.each(['', '"a"', '"\\\\ud83d"', '"\\n\\"\\u0041"'])('leave %s as it is', (json) => {
    expect(wellFormedJson(json)).toBe(json);
  });
});
