/** Other models than R1: how they think follows from their profile and from the variables of their chat template. */
import { describe, expect, it } from 'vitest';
import type { ModelProfile } from '../../../gpu-pool/protocol/model-profile.ts';
import { SHIPPED_MODELS, shippedProfile } from '../../../gpu-pool/protocol/shipped-profiles.ts';
import { complete, emulate, user } from './client.ts';

const R1 = shippedProfile('deepseek-r1-0528')!;
const THINKS_BY_DEFAULT: ModelProfile = {
  ...R1,
  repository: 'somebody/Thinker-1',
  contextLength: 4_096,
  thinking: { mode: 'switchable', byDefault: true, variable: 'enable_thinking' },
};
const THINKS_ON_REQUEST: ModelProfile = {
  ...R1,
  thinking: { mode: 'switchable', byDefault: false, variable: 'thinking' },
};

async function ask(model: ModelProfile, variables?: Record<string, unknown>) {
  const { url } = await emulate({ model });
  const { choices, usage } = await complete(url, {
    messages: user('Hi [[reasoning=20 answer=20]]'),
    max_tokens: 100,
    ...(variables === undefined ? {} : { chat_template_kwargs: variables }),
  });
  const { content, reasoning_content: reasoning } = choices[0].message;
  expect(content).toContain('Here is the answer.');
  return { thought: (reasoning ?? '') !== '', tokens: usage.reasoning_tokens };
}

describe('a model whose template has a switch', () => {
  it.each<[string, ModelProfile, Record<string, unknown> | undefined, boolean]>([
    ['thinks by default', THINKS_BY_DEFAULT, undefined, true],
    ['is told not to think', THINKS_BY_DEFAULT, { enable_thinking: false }, false],
    ['is told by a variable of another model', THINKS_BY_DEFAULT, { thinking: false }, true],
    ['does not think by default', THINKS_ON_REQUEST, undefined, false],
    ['is told to think', THINKS_ON_REQUEST, { thinking: true }, true],
    ['is told in words', THINKS_ON_REQUEST, { thinking: 'yes' }, false],
  ])('%s', async (_, model, variables, thinks) => {
    const { thought, tokens } = await ask(model, variables);
    expect([thought, tokens > 0]).toEqual([thinks, thinks]);
  });
});

it('says which model it emulates, and in how long a context', async () => {
  const { url } = await emulate({ model: THINKS_BY_DEFAULT });
  const get = async (path: string) => (await fetch(url + path)).json();
  expect(await get('/model_info')).toMatchObject({ model_path: 'somebody/Thinker-1' });
  expect(await get('/v1/models')).toMatchObject({
    data: [{ id: 'somebody/Thinker-1', max_model_len: 4_096 }],
  });
});

it.each(SHIPPED_MODELS)('emulates %s', async (id) => {
  const model = shippedProfile(id)!;
  const { url } = await emulate({
    model,
    ...(model.parsers.reasoning === null ? { reasoningParser: undefined } : {}),
  });
  const { choices } = await complete(url, { messages: user('Hi [[answer=5]]'), max_tokens: 1_000 });
  expect(choices[0].finish_reason).toBe('stop');
  const { mode, byDefault = mode === 'always' } = model.thinking;
  expect((choices[0].message.reasoning_content ?? '') !== '').toBe(byDefault);
});
