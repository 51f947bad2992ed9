import { describe, expect, it } from 'vitest';
import { operatorEn } from '../../worker/i18n/en/operator.ts';
import { operatorFr } from '../../worker/i18n/fr/operator.ts';

/** The numbers of each finding, all different, as they are stored. */
const DETAILS = {
  tokens: {
    ...{ billedPrompt: '11', billedCached: '12', billedCompletion: '13', billedReasoning: '14' },
    ...{ countedPrompt: '21', countedCached: '22', countedCompletion: '23', countedReasoning: '24' },
  },
  implausible: { billedPrompt: '11', billedCompletion: '13', countedPrompt: '21' },
  overrun: { overrun: '31', countedCompletion: '23' },
};

describe.each([
  ['English', operatorEn.reconciliation],
  ['French', operatorFr.reconciliation],
])('a finding about counts, in %s', (_, words) => {
  it.each(['tokens', 'implausible', 'overrun'] as const)('names the cause and every number: %s', (kind) => {
    const sentence = words[kind](DETAILS[kind]);
    for (const number of Object.values(DETAILS[kind])) expect(sentence).toContain(number);
    expect(sentence).not.toContain('undefined');
    expect(words.kinds[kind]).toBeTruthy();
  });

  it('of an older Wallet, which knew neither cached nor reasoning tokens, leaves them out', () => {
    const old = { billedPrompt: '11', billedCompletion: '13', countedPrompt: '21', countedCompletion: '23' };
    expect(words.tokens(old)).toMatch(/11.*13.*21.*23/);
    expect(words.tokens(old)).not.toContain('undefined');
  });
});
