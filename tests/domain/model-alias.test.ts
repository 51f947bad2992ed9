/** Aliases: which names they may have, what their effort does to a request, and which names get a hint. */
import { describe, expect, it } from 'vitest';
import r1 from '../../gpu-pool/models/deepseek-r1-0528.json' with { type: 'json' };
import v3 from '../../gpu-pool/models/deepseek-v3-0324.json' with { type: 'json' };
import {
  ALIAS_NAME,
  findAlias,
  isOfOtherMaker,
  isTaken,
  takesEffort,
  withEffort,
} from '../../worker/domain/model-alias.ts';
import type { ReasoningRequest } from '../../worker/domain/reasoning.ts';

const alias = (effort: string | null) => ({ name: 'claude-haiku-4-5', modelId: 'deepseek-r1-0528', effort });
const asked = (given: Partial<ReasoningRequest>): ReasoningRequest => ({
  ...{ enabled: null, adaptive: null, effort: null, budgetTokens: null, budgetNanoUsd: null },
  ...{ exclude: null, fields: {}, ...given },
});

describe('the name', () => {
  it.each([
    'claude-haiku-4-5-20251001',
    'gpt-5.1',
    'anthropic/claude-opus',
    'a',
    '7b',
    'x'.repeat(64),
    'm:free',
  ])('%s is one', (name) => expect(ALIAS_NAME.test(name)).toBe(true));
  it.each(['', ' a', 'a b', '-a', '../a', '.a', 'é', 'a\u200b', 'A', 'x'.repeat(65), 'a\n'])(
    '%j is none',
    (name) => expect(ALIAS_NAME.test(name)).toBe(false),
  );

  it('is found in any case', () => {
    expect(findAlias([alias(null)], 'Claude-Haiku-4-5')?.modelId).toBe('deepseek-r1-0528');
    expect(findAlias([alias(null)], 'claude-haiku-4')).toBeNull();
  });

  it('is taken by a model, by its names, and by those that it had', () => {
    const models = [{ id: 'r1', aliases: ['Reasoner'], formerAliases: ['old'] }];
    expect(['r1', 'reasoner', 'old', 'new'].map((name) => isTaken(models, name))).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });
});

describe('the effort', () => {
  it('stands where the request says nothing of reasoning', () => {
    expect(withEffort(null, alias('low'))).toMatchObject({ effort: 'low', enabled: null });
    expect(withEffort(asked({ exclude: true }), alias('low'))).toMatchObject({
      effort: 'low',
      exclude: true,
    });
    expect(withEffort(asked({ adaptive: true }), alias('low'))).toMatchObject({ effort: 'low' });
    expect(withEffort(null, alias('none'))).toMatchObject({ effort: null, enabled: false });
  });

  it.each<Partial<ReasoningRequest>>([
    { effort: 'high' },
    { enabled: false },
    { enabled: true },
    { budgetTokens: 9 },
  ])('leaves a request that says %j as it is', (given) =>
    expect(withEffort(asked(given), alias('low'))).toEqual(asked(given)),
  );

  it('is none of an alias without one', () => expect(withEffort(null, alias(null))).toBeNull());

  it.each([
    [r1, 'low', true],
    [r1, 'max', true],
    [r1, 'none', false],
    [r1, 'extreme', false],
    [v3, 'none', true],
    [v3, 'low', false],
  ] as const)('is one that the model can keep', (profile, effort, can) => {
    expect(takesEffort({ id: 'model', profile: profile as never }, effort)).toBe(can);
  });
});

it.each([
  'claude-haiku-4-5',
  'gpt-5',
  'o3-mini',
  'gemini-2.5-pro',
  'anthropic/claude-opus-4',
  'grok-4',
  'GPT-4o',
])('%s is a name of another maker', (name) => expect(isOfOtherMaker(name)).toBe(true));
it.each(['deepseek-r1', 'o', 'oak-1', 'gpteam', 'qwen3', 'constructor'])('%s is none', (name) =>
  expect(isOfOtherMaker(name)).toBe(false),
);
