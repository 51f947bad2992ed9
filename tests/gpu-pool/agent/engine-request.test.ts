import { describe, expect, it } from 'vitest';
import { toEngineRequest, toPromptPass } from '../../../gpu-pool/agent/sglang/request.ts';
import type { GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';

const REQUEST: GenerateRequest = {
  messages: [{ role: 'user', content: 'Hi' }],
  max_tokens: 10,
  cache_salt: 'x'.repeat(32),
};
const HOW = { rid: 'r', modelPath: 'm', wanted: { format: null, promptIds: null, engineBudget: null } };

describe('the fewest tokens of an answer', () => {
  it.each([
    [3, 3],
    [10, 10],
    // The context or the claim has lowered max_tokens: the engine would refuse the request.
    [11, 10],
    [undefined, undefined],
  ])('of %s are asked for as %s where the answer has at most 10', (min_tokens, asked) => {
    expect(toEngineRequest({ ...REQUEST, min_tokens }, HOW).body.min_tokens).toBe(asked);
  });

  it('are none of a pass over the prompt, which is one token long', () => {
    const { body } = toPromptPass({ ...REQUEST, min_tokens: 5, logit_bias: { 1: 2 } }, HOW);
    expect(body).toMatchObject({ max_tokens: 1, min_tokens: undefined, logit_bias: { 1: 2 } });
  });
});
