/** A begun answer fitted to the model: what goes on in a thought, what behind it, and what cannot. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import { NO_SETTINGS } from '../../worker/domain/reasoning.ts';
import { continued } from '../../worker/gateway/continued.ts';
import type { ChatRequest } from '../../worker/gateway/dialects/chat-request.ts';

const model = (id: string) => ({
  id,
  profile: ModelProfile.parse(JSON.parse(readFileSync(`gpu-pool/models/${id}.json`, 'utf8'))),
});
const [always, never, switchable] = ['deepseek-r1-0528', 'deepseek-v3-0324', 'deepseek-v3.2'].map(model);

function ask(
  of: typeof always,
  prefix: { content: string | null; reasoning_content?: string },
  more: { reasoning?: Partial<typeof NO_SETTINGS>; generate?: object } = {},
) {
  const request = {
    ...{ model: 'm', promptField: 'messages', prefixField: 'messages[1].prefix', thoughtField: 'thought' },
    ...{ stream: false, maxTokens: null, choices: 1, sessionKey: null, ignored: [] },
    reasoning: more.reasoning ? { ...NO_SETTINGS, ...more.reasoning } : null,
    generate: {
      messages: [
        { role: 'user', content: 'Hi' },
        { role: 'answer_prefix', ...prefix },
      ],
      ...more.generate,
    },
  } as ChatRequest;
  const result = continued(request, of!);
  if (!result.ok) return result.error;
  const { reasoning, ignored, generate } = result.request;
  return { prefix: generate.messages!.at(-1), enabled: reasoning?.enabled ?? null, ignored };
}

const thought = { content: null, reasoning_content: 'Hm' };
const both = { content: 'One', reasoning_content: 'Hm' };

describe('a beginning', () => {
  it('with a thought asks the model to think, and one without does not', () => {
    expect(ask(switchable, thought)).toMatchObject({ prefix: thought, enabled: true, ignored: [] });
    expect(ask(switchable, both)).toMatchObject({ prefix: both, enabled: true });
    expect(ask(switchable, { content: 'One' })).toMatchObject({ enabled: null });
    expect(ask(always, { content: '<think>Hm' })).toMatchObject({ prefix: thought, enabled: true });
  });

  it('loses its thought at a model that is not to think, and the field is named', () => {
    const plain = { prefix: { role: 'answer_prefix', content: 'One' }, ignored: ['thought'] };
    expect(ask(never, both)).toEqual({ ...plain, enabled: null });
    expect(ask(switchable, both, { reasoning: { enabled: false } })).toEqual({ ...plain, enabled: false });
  });

  it.each([
    ['a thought alone at a model that never thinks', never, thought, {}, 'messages[1].prefix'],
    [
      'a thought alone where thinking is off',
      switchable,
      thought,
      { reasoning: { enabled: false } },
      'messages[1].prefix',
    ],
    [
      'JSON output',
      always,
      { content: '{' },
      { generate: { response_format: { type: 'json_object' } } },
      'response_format',
    ],
    ['a forced call', always, { content: 'A' }, { generate: { tool_choice: 'required' } }, 'tool_choice'],
    [
      'a model whose thoughts have no tags',
      model('gpt-oss-120b'),
      { content: 'A' },
      {},
      'messages[1].prefix',
    ],
  ] as const)('is refused with %s', (_, of, prefix, more, param) => {
    expect(ask(of, prefix, more)).toMatchObject({ reason: 'invalid_field', param });
  });

  it('keeps text as it is at a model without thoughts', () => {
    const content = 'a</think>b';
    expect(ask(never, { content })).toMatchObject({ prefix: { content } });
  });
});
