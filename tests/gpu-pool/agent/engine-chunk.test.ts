/** Chunks of SGLang's stream: those of text are read by hand, and mean what the schema makes of them. */
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { readEngineChunk } from '../../../gpu-pool/agent/sglang/engine-chunk.ts';
import { event, usage } from './scripted-engine.ts';

const RELEASES = ['0.5.20', '0.5.23'];

interface Frame {
  choices: { index: number; delta?: Record<string, unknown>; finish_reason: unknown; logprobs: unknown }[];
  usage?: unknown;
}

/** Every chunk of the recorded streams. */
async function recorded(release: string): Promise<Frame[]> {
  const path = new URL(`../emulator/recordings/${release}-exchanges.jsonl`, import.meta.url);
  const frames: Frame[] = [];
  JSON.parse(`[${(await readFile(path, 'utf8')).trim().split('\n').join(',')}]`, (_, value: unknown) => {
    const isChunk = typeof value === 'object' && value !== null && 'object' in value && 'choices' in value;
    if (isChunk && String(value.object).endsWith('chunk')) frames.push(value as unknown as Frame);
    return value;
  });
  return frames;
}

/** What the agent takes of a chunk. */
function facts(chunk: ReturnType<typeof readEngineChunk>) {
  const choices = chunk?.choices?.map(({ index, delta, finish_reason, logprobs, matched_stop }) => ({
    ...{ index, finish_reason, logprobs: logprobs ?? null, matched_stop: matched_stop ?? null },
    content: delta?.content ?? null,
    reasoning: delta?.reasoning_content ?? null,
    calls: delta?.tool_calls ?? null,
  }));
  const counts = (chunk?.usage ?? null) as Record<string, unknown> | null;
  return {
    ...{ id: chunk?.id ?? null, choices, error: chunk?.error },
    counts: counts && [counts.prompt_tokens, counts.completion_tokens, counts.reasoning_tokens],
    cached: (counts?.prompt_tokens_details as { cached_tokens?: unknown } | null)?.cached_tokens ?? null,
  };
}

/** A blank where SGLang writes none, so that it is not read by hand. */
const spaced = (json: string) => json.replace('{', '{ ');

afterEach(() => void vi.restoreAllMocks());

describe.each(RELEASES)('the recorded chunks of %s', (release) => {
  it('mean the same when they are read by hand', async () => {
    const frames = await recorded(release);
    expect(frames.length).toBeGreaterThan(500);
    for (const frame of frames) {
      const json = JSON.stringify(frame);
      expect(facts(readEngineChunk(json)), json).toEqual(facts(readEngineChunk(spaced(json))));
    }
  });

  it('are read by hand where they are text with its usage', async () => {
    const texts = (await recorded(release))
      .filter(({ usage: counts, choices: [choice] }) => counts && choice?.delta && !choice.finish_reason)
      .filter(({ choices: [choice] }) => choice!.delta!.role == null && choice!.logprobs === null)
      .filter(({ choices: [choice] }) => {
        const { content, reasoning_content: reasoning } = choice!.delta!;
        return typeof content === 'string' || typeof reasoning === 'string';
      })
      .map((frame) => JSON.stringify(frame));
    const parse = vi.spyOn(JSON, 'parse');
    expect(texts.length).toBeGreaterThan(300);
    for (const json of texts) {
      readEngineChunk(json);
      const [whole] = parse.mock.lastCall ?? [];
      expect(whole).not.toBe(json);
    }
  });
});

describe('a chunk of text', () => {
  const chunk = (delta: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
    ...{ id: 'req', object: 'chat.completion.chunk', created: 1, model: 'm' },
    choices: [{ index: 0, delta, logprobs: null, finish_reason: null, matched_stop: null, ...more }],
    usage: usage(3, { cached: 4 }),
  });

  it.each<[string, object]>([
    ['escapes', chunk({ reasoning_content: null, content: 'a "b"\\ \n\t\u0007 ä € 😀 \ud83d' })],
    ['what looks like JSON', chunk({ content: '"},"finish_reason":"stop"}],"usage":{' })],
    ['a thought', chunk({ reasoning_content: 'hm' })],
    ['nothing', chunk({ content: '' })],
    ['a finish reason', chunk({ content: 'x' }, { finish_reason: 'stop', matched_stop: 'x' })],
    ['log-probabilities', chunk({ content: 'x' }, { logprobs: { content: [] } })],
    ['another choice', chunk({ content: 'x' }, { index: 12 })],
    ['a long id', { ...chunk({ content: 'x' }), id: 'r'.repeat(300) }],
    ['counts that are none', { ...chunk({ content: 'x' }), usage: { ...usage(1), completion_tokens: -1 } }],
    ['huge counts', { ...chunk({ content: 'x' }), usage: { ...usage(1), completion_tokens: 1e15 } }],
    ['no usage', event({ content: 'x' })],
    ['an error', { ...chunk({ content: 'x' }), error: { code: 500 } }],
  ])('with %s means the same', (_, value) => {
    const json = JSON.stringify(value);
    expect(facts(readEngineChunk(json))).toEqual(facts(readEngineChunk(spaced(json))));
    expect(readEngineChunk(json)).not.toBeNull();
  });

  it.each([
    '{"a',
    '"x"',
    '{"choices":[{"index":-1}]}',
    JSON.stringify(chunk({ content: '?' })).replace('?', '\\q'),
  ])('that is none is null: %s', (json) => {
    expect(readEngineChunk(json)).toBeNull();
  });
});
