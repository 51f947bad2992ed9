import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import { nanoUsd } from '../../worker/domain/money.ts';
import {
  type ReasoningModel,
  type ReasoningRequest,
  type ReasoningSetting,
  steer,
} from '../../worker/domain/reasoning.ts';

type Thinking = ModelProfile['thinking'];
const ALWAYS: Thinking = { mode: 'always' };
const NEVER: Thinking = { mode: 'never' };
const SWITCHABLE: Thinking = { mode: 'switchable', byDefault: false, variable: 'thinking' };
const LEVELS = { variable: 'reasoning_effort', levels: ['low', 'high', 'max'], byDefault: 'high' };

const model = (thinking: Thinking, change: Partial<ReasoningModel> = {}): ReasoningModel => ({
  ...{ id: 'm', thinking, isTextCompletion: false, askedTokens: 1_000, maxTokens: 1_000, choices: 1 },
  outputNanoUsd: 2_000,
  ...change,
});
const wish = (asked: Partial<Omit<ReasoningRequest, 'fields'>>): ReasoningRequest => ({
  ...{ enabled: null, adaptive: null, effort: null, budgetTokens: null, budgetNanoUsd: null, exclude: null },
  ...asked,
  fields: Object.fromEntries(Object.keys(asked).map((name) => [name as ReasoningSetting, `the.${name}`])),
});
const nothing = { templateVariables: undefined, thinkingBudget: undefined, ignored: [] };
const on = { thinking: true };

describe('a wish for reasoning', () => {
  it.each<[string, Partial<Omit<ReasoningRequest, 'fields'>>, Thinking, object]>([
    ['nothing, of a model that always thinks', {}, ALWAYS, nothing],
    ['nothing, of a model that never thinks', {}, NEVER, nothing],
    ['nothing, of one that is off', {}, SWITCHABLE, { ...nothing, templateVariables: { thinking: false } }],
    [
      'nothing, of one that is on',
      {},
      { ...SWITCHABLE, byDefault: true },
      { ...nothing, templateVariables: on },
    ],
    ['to think, of one that always does', { enabled: true }, ALWAYS, nothing],
    ['to think, of one that is off', { enabled: true }, SWITCHABLE, { ...nothing, templateVariables: on }],
    ['not to think, of one that never does', { enabled: false }, NEVER, nothing],
    [
      'not to think, of one that is on',
      { enabled: false },
      { ...SWITCHABLE, byDefault: true },
      { ...nothing, templateVariables: { thinking: false } },
    ],
    ['to think as much as it likes, of one that always does', { adaptive: true }, ALWAYS, nothing],
    ['the same, of one that is off', { adaptive: true }, SWITCHABLE, { ...nothing, templateVariables: on }],
    [
      'the same, of one that never does',
      { adaptive: true },
      NEVER,
      { ...nothing, ignored: ['the.adaptive'] },
    ],
    [
      'an effort, of one that never thinks',
      { effort: 'high' },
      NEVER,
      { ...nothing, ignored: ['the.effort'] },
    ],
    ['an effort, as a share of the answer', { effort: 'low' }, ALWAYS, { ...nothing, thinkingBudget: 200 }],
    ['the largest effort, which bounds nothing', { effort: 'max' }, ALWAYS, nothing],
    [
      'an effort, of one that is off',
      { effort: 'medium' },
      SWITCHABLE,
      { ...nothing, templateVariables: on, thinkingBudget: 500 },
    ],
    [
      'an effort that is a level',
      { effort: 'low' },
      { ...SWITCHABLE, effort: LEVELS },
      { ...nothing, templateVariables: { thinking: true, reasoning_effort: 'low' } },
    ],
    [
      'an effort without a thought',
      { enabled: false, effort: 'high' },
      { ...SWITCHABLE, effort: LEVELS },
      { ...nothing, templateVariables: { thinking: false }, ignored: ['the.effort'] },
    ],
    ['a budget', { budgetTokens: 999 }, ALWAYS, { ...nothing, thinkingBudget: 999 }],
    [
      'a budget and an effort, which then says nothing',
      { budgetTokens: 300, effort: 'low' },
      ALWAYS,
      { ...nothing, thinkingBudget: 300, ignored: ['the.effort'] },
    ],
    [
      'a budget and an effort that is a level',
      { budgetTokens: 300, effort: 'max' },
      { mode: 'always', effort: LEVELS },
      { ...nothing, thinkingBudget: 300, templateVariables: { reasoning_effort: 'max' } },
    ],
    ['a budget without a thought', { enabled: false, budgetTokens: 300 }, NEVER, nothing],
    ['dollars', { budgetNanoUsd: nanoUsd(999_999) }, ALWAYS, { ...nothing, thinkingBudget: 499 }],
    ['more dollars than the answer costs', { budgetNanoUsd: nanoUsd(2_000_000) }, ALWAYS, nothing],
    [
      'dollars and tokens, of which the smaller one holds',
      { budgetNanoUsd: nanoUsd(200_000), budgetTokens: 300 },
      ALWAYS,
      { ...nothing, thinkingBudget: 100 },
    ],
    [
      'only to be spared the thought',
      { exclude: true },
      SWITCHABLE,
      { ...nothing, templateVariables: { thinking: false } },
    ],
    [
      'not to think, of one that always does',
      { enabled: false },
      ALWAYS,
      { ok: false, param: 'the.enabled' },
    ],
    ['to think, of one that never does', { enabled: true }, NEVER, { ok: false, param: 'the.enabled' }],
    [
      'a budget, of one that never thinks',
      { budgetTokens: 9 },
      NEVER,
      { ok: false, param: 'the.budgetTokens' },
    ],
    [
      'dollars, of one that never thinks',
      { budgetNanoUsd: nanoUsd(9) },
      NEVER,
      { ok: false, param: 'the.budgetNanoUsd' },
    ],
    [
      'a budget as large as the answer',
      { budgetTokens: 1_000 },
      ALWAYS,
      { ok: false, param: 'the.budgetTokens' },
    ],
    [
      'less than a token costs',
      { budgetNanoUsd: nanoUsd(1_999) },
      ALWAYS,
      { ok: false, param: 'the.budgetNanoUsd' },
    ],
    ['an effort that nobody knows', { effort: 'enormous' }, ALWAYS, { ok: false, param: 'the.effort' }],
    ['the same, of one that never thinks', { effort: 'enormous' }, NEVER, { ok: false, param: 'the.effort' }],
  ])('%s', (_, asked, thinking, expected) => {
    expect(steer(wish(asked), model(thinking))).toMatchObject({ ok: !('ok' in expected), ...expected });
  });

  it.each([
    ['minimal', 'low'],
    ['low', 'low'],
    ['medium', 'high'],
    ['high', 'high'],
    ['xhigh', 'high'],
    ['max', 'max'],
    ['ultra', 'max'],
  ])('of effort %s becomes DeepSeek’s level %s', (effort, level) => {
    const steering = steer(wish({ effort }), model({ ...SWITCHABLE, effort: LEVELS }));
    expect(steering).toMatchObject({
      templateVariables: { reasoning_effort: level },
      thinkingBudget: undefined,
    });
  });

  it('takes a level that only the model knows', () => {
    const effort = { variable: 'depth', levels: ['shallow', 'deep'], byDefault: 'deep' };
    const thinking: Thinking = { mode: 'always', effort };
    expect(steer(wish({ effort: 'shallow' }), model(thinking))).toMatchObject({
      templateVariables: { depth: 'shallow' },
    });
    expect(steer(wish({ effort: 'low' }), model(thinking))).toMatchObject({
      templateVariables: { depth: 'deep' },
    });
  });

  it('shares dollars among the choices', () => {
    const budgetNanoUsd = nanoUsd(600_000);
    expect(steer(wish({ budgetNanoUsd }), model(ALWAYS, { choices: 3 }))).toMatchObject({
      thinkingBudget: 100,
    });
  });

  it('of a text completion demands nothing', () => {
    const text = { isTextCompletion: true };
    expect(steer(null, model(SWITCHABLE, text))).toMatchObject(nothing);
    expect(steer(wish({ effort: 'low' }), model(ALWAYS, text))).toMatchObject({ ignored: ['the.effort'] });
    expect(steer(wish({ budgetTokens: 5 }), model(ALWAYS, text))).toMatchObject({ ok: false });
  });

  it('in dollars never buys more tokens than it pays for', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e12 }),
        fc.integer({ min: 1, max: 1e5 }),
        fc.integer({ min: 1, max: 8 }),
        (amount, outputNanoUsd, choices) => {
          const asked = wish({ budgetNanoUsd: nanoUsd(amount) });
          const steering = steer(asked, model(ALWAYS, { outputNanoUsd, choices }));
          const tokens = steering.ok ? (steering.thinkingBudget ?? 1_000) : 0;
          expect(tokens * choices * outputNanoUsd).toBeLessThanOrEqual(amount);
          // and not a token less, up to the length of the answer
          if (tokens < 999) expect((tokens + 1) * choices * outputNanoUsd).toBeGreaterThan(amount);
        },
      ),
    );
  });
});
