/** Budgets of thought. */
import { type Assumption, notApplicable, verdict } from '../assumption.ts';
import { textOf, totalOf } from '../direct-engine.ts';
import { freshSalt, user } from '../prompts.ts';
import type { Subject } from '../subject.ts';

const BUDGET = 9;

async function thought({ engine }: Subject) {
  return engine.stream({
    messages: user('Think for long about a long problem. [[reasoning=200 answer=20]]'),
    custom_params: { thinking_budget: BUDGET },
    max_tokens: 60,
    ignore_eos: true,
    cache_salt: freshSalt(),
  });
}

export const THINKING_BUDGET: readonly Assumption[] = [
  {
    id: 'thinking/budget',
    says: 'with --enable-strict-thinking and SGLANG_MAX_THINK_TOKENS a thought has at most as many tokens as its budget',
    madeBy: ['docs/conformance.md'],
    onlyReal: 'the emulator has no budgets',
    async check(subject) {
      if (!subject.reasons) return notApplicable('the engine has no reasoning parser');
      if (subject.info.enable_strict_thinking !== true)
        return notApplicable('the engine was started without --enable-strict-thinking');
      const { chunks } = await thought(subject);
      const reasoning = totalOf(chunks)?.reasoning_tokens ?? 0;
      const answered = textOf(chunks, 'content') !== '';
      return verdict(
        `at most ${BUDGET + 1} tokens, then content`,
        `${reasoning} tokens, ${answered ? 'then content' : 'no content'}`,
        reasoning <= BUDGET + 1 && answered,
      );
    },
  },
  {
    id: 'thinking/ignored-budget',
    says: 'without them a budget is ignored in silence',
    madeBy: ['docs/conformance.md'],
    onlyReal: 'the emulator has no budgets',
    async check(subject) {
      if (subject.info.enable_strict_thinking === true)
        return notApplicable('the engine was started with --enable-strict-thinking');
      const { status } = await thought(subject);
      return verdict('200', String(status));
    },
  },
  {
    id: 'thinking/seed',
    says: 'a seed repeats an answer only with deterministic inference',
    madeBy: ['docs/conformance.md'],
    async check(subject) {
      const deterministic = subject.info.enable_deterministic_inference === true;
      const body = {
        messages: user('Write a poem.'),
        seed: 7,
        temperature: 1,
        max_tokens: 24,
        ignore_eos: true,
      };
      const texts = new Set<string>();
      for (let i = 0; i < 3; i++) {
        const { chunks } = await subject.engine.stream(body);
        texts.add(textOf(chunks, 'reasoning_content') + textOf(chunks, 'content'));
      }
      const seen = texts.size === 1 ? 'repeated' : 'different';
      return verdict(deterministic ? 'repeated' : 'different', seen, !deterministic || texts.size === 1);
    },
  },
];
