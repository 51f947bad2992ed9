/** Signs of life: events of the dialect's own, once an answer has begun, that add nothing to it. */
import { describe, expect, it } from 'vitest';
import { messageStreamFaults } from '../shapes/anthropic-messages.ts';
import { chunkFaults } from '../shapes/openai-chat.ts';
import { responseStreamFaults } from '../shapes/openai-responses.ts';
import { nodeChunk, streamedText } from './dialect-answer.ts';

const CHUNKS = [
  nodeChunk({ reasoning_content: 'Hm.' }),
  nodeChunk({ content: 'Four.' }),
  nodeChunk({}, 'stop'),
];

const namesOf = (text: string) => [...text.matchAll(/^event: (.+)$/gm)].map(([, name]) => name!);

describe('a sign of life', () => {
  it('is `response.in_progress`, in sequence, with the items so far', async () => {
    const text = await streamedText('openaiResponses', CHUNKS, { alive: true });
    expect(responseStreamFaults(text)).toEqual([]);
    expect(namesOf(text)[0]).toBe('response.created');
    expect(namesOf(text).filter((name) => name === 'response.in_progress')).toHaveLength(1 + CHUNKS.length);
  });

  it('is `ping`', async () => {
    const text = await streamedText('anthropicMessages', CHUNKS, { alive: true });
    const [start, ...rest] = namesOf(text);
    expect([start, rest.filter((name) => name === 'ping').length]).toEqual(['message_start', CHUNKS.length]);
    expect(messageStreamFaults(text.replaceAll('event: ping\ndata: {"type":"ping"}\n\n', ''))).toEqual([]);
  });

  it.each([false, true])(
    'is an empty delta, and none once all choices have ended; usage: %s',
    async (usage) => {
      const options = { body: { stream_options: { include_usage: usage } } };
      const text = await streamedText('openaiChat', CHUNKS, { ...options, alive: true });
      const events = text.split('\n\n').filter((event) => event.startsWith('data: {'));
      const parsed = events.map((event) => JSON.parse(event.slice(6)));
      expect(parsed.flatMap((chunk) => chunkFaults(chunk))).toEqual([]);
      const plain = await streamedText('openaiChat', CHUNKS, options);
      const added = events.filter((event) => !plain.includes(event));
      expect(events.length - plain.split('data: {').length + 1).toBe(2);
      expect(added.map((event) => JSON.parse(event.slice(6)).choices)).toEqual(
        Array(2).fill([{ index: 0, delta: {}, finish_reason: null, logprobs: null }]),
      );
    },
  );

  it('is an empty text', async () => {
    const text = await streamedText('openaiCompletions', CHUNKS, { alive: true });
    expect(text.match(/"text":"","logprobs":null,"finish_reason":null/g)).toHaveLength(CHUNKS.length);
  });
});
