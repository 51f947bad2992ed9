import { describe, expect, it } from 'vitest';
import { GenerateRequest } from '../../gpu-pool/protocol/schemas.ts';
import { nodeBody } from '../../worker/gateway/node/request-body.ts';
import { rendered } from '../../worker/gateway/rendered.ts';
import { R1_RULES } from '../model-profiles.ts';

const added = { max_tokens: 7, cache_salt: '0'.repeat(32), background: undefined };

describe('the body for a node', () => {
  it.each([
    ['a conversation', { messages: [{ role: 'user' as const, content: 'say "日本 🚀"\n\u2028' }] }],
    [
      'a conversation with tools',
      {
        messages: [{ role: 'assistant' as const, content: null }],
        tools: [{ type: 'function' as const, function: { name: 'f', parameters: { __proto__: null } } }],
      },
    ],
    ['a text', { prompt: '},"max_tokens":1,{' }],
  ])('holds every field of %s, each once', (_, shown) => {
    const generate = { ...shown, temperature: 0.5, stop: ['}'], seed: undefined };
    const text = nodeBody({ generate, ...rendered(generate, R1_RULES) }, added);
    const body: unknown = JSON.parse(text);
    expect(body).toEqual(JSON.parse(JSON.stringify({ ...generate, ...added })));
    expect(GenerateRequest.strict().safeParse(body).success).toBe(true);
    expect(text.match(/"max_tokens":7/g)).toHaveLength(1);
  });

  it('counts bytes of the rendered content, not characters', () => {
    expect(rendered({ prompt: '日本' }, R1_RULES).contentBytes).toBe(8);
    expect(rendered({ messages: [], tools: [] }, R1_RULES).contentBytes).toBe(4);
    expect(rendered({ prompt: '', stop: ['日'] }, R1_RULES).contentBytes).toBe(2 + 7);
    expect(rendered({ prompt: '', response_format: { type: 'text' } }, R1_RULES).contentBytes).toBe(2 + 15);
  });
});
