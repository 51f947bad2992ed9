import { describe, expect, it } from 'vitest';
import { publishedShape } from '../shapes/published-shape.ts';

const CHAT = 'openai/resources/chat/completions/completions';
const CHUNK = { id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [] };

describe('a published shape', () => {
  const faults = publishedShape({ package: CHAT, type: 'ChatCompletionChunk' });

  it('accepts what the package declares', () => {
    expect(faults(CHUNK)).toEqual([]);
    expect(faults({ ...CHUNK, usage: null, system_fingerprint: 'r' })).toEqual([]);
  });

  it('names the field that is missing, of a wrong type, or undeclared', () => {
    const { id: _, ...withoutId } = CHUNK;
    expect(faults(withoutId)).toEqual(["/ must have required property 'id'"]);
    expect(faults({ ...CHUNK, created: '1' })).toEqual(['/created must be number']);
    expect(faults({ ...CHUNK, meta_info: {} })).toEqual(['/ must NOT have additional properties meta_info']);
    expect(faults({ ...CHUNK, choices: [{ index: 0, delta: {} }] })).toEqual([
      "/choices/0 must have required property 'finish_reason'",
    ]);
  });

  it('allows the additions that are named, and no others', () => {
    const also = { ChatCompletionChunk: ['tollgate'], CompletionUsage: ['cost'] };
    const withAdditions = publishedShape({ package: CHAT, type: 'ChatCompletionChunk', also });
    expect(withAdditions({ ...CHUNK, tollgate: { stop: 'credit' } })).toEqual([]);
    expect(withAdditions({ ...CHUNK, cost: '1' })).toEqual(['/ must NOT have additional properties cost']);
    expect(() =>
      publishedShape({ package: CHAT, type: 'ChatCompletionChunk', also: { Usage: ['cost'] } }),
    ).toThrow('no type Usage');
  });

  it('reports faults of the union’s member that the value’s `type` names', () => {
    const event = publishedShape({
      package: '@anthropic-ai/sdk/resources/messages/messages',
      type: 'RawMessageStreamEvent',
    });
    expect(event({ type: 'content_block_stop', index: 0 })).toEqual([]);
    expect(event({ type: 'content_block_stop' })).toContain("/ must have required property 'index'");
    expect(event({ type: 'content_block_stop' }).join()).not.toContain('content_block_start');
  });
});
