/** The request fields that `/v1/models` lists: from a model's profile, and from what its nodes can do. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import { supportedParameters } from '../../worker/domain/supported-parameters.ts';

const shipped = (name: string) =>
  ModelProfile.parse(JSON.parse(readFileSync(`gpu-pool/models/${name}.json`, 'utf8')));
const r1 = shipped('deepseek-r1-0528');
const v3 = shipped('deepseek-v3-0324');
const repeating = { deterministic: true };
const supported = (profile: ModelProfile, nodes: readonly { deterministic?: boolean }[] = []) =>
  new Set(supportedParameters({ profile, nodes }));

describe('supported parameters', () => {
  it('are the samplers, formats and limits of every model', () => {
    for (const profile of [r1, v3])
      expect([...supported(profile)]).toEqual(
        expect.arrayContaining([
          'max_tokens',
          'temperature',
          'top_p',
          'stop',
          'response_format',
          'structured_outputs',
        ]),
      );
  });

  it('have reasoning or log probabilities, never both', () => {
    for (const [profile, has, lacks] of [
      [r1, ['reasoning', 'reasoning_effort'], ['logprobs', 'top_logprobs']],
      [v3, ['logprobs', 'top_logprobs'], ['reasoning', 'reasoning_effort']],
    ] as const) {
      for (const name of has) expect(supported(profile), name).toContain(name);
      for (const name of lacks) expect(supported(profile), name).not.toContain(name);
    }
  });

  it('have a prefix where the agent can have an answer go on', () => {
    for (const profile of [r1, v3]) expect(supported(profile)).toContain('prefix');
    for (const name of ['gpt-oss-120b', 'deepseek-v4-flash'])
      expect(supported(shipped(name))).not.toContain('prefix');
  });

  it('have reasoning where thinking can be switched on', () => {
    const thinking = { mode: 'switchable', byDefault: false, variable: 'thinking' } as const;
    expect(supported({ ...v3, thinking })).toContain('reasoning');
    expect(supported({ ...v3, thinking })).not.toContain('logprobs');
  });

  it('have tools only with a parser of them', () => {
    expect(supported(v3)).toContain('tools');
    const without = { ...v3, parsers: { ...v3.parsers, tools: null } };
    expect(supported(without)).not.toContain('tools');
    expect(supported(without)).not.toContain('tool_choice');
  });

  it('have a seed only where every node repeats answers', () => {
    expect(supported(r1, [repeating, repeating])).toContain('seed');
    expect(supported(r1, [repeating, {}])).not.toContain('seed');
    expect(supported(r1, [{ deterministic: false }])).not.toContain('seed');
    expect(supported(r1)).not.toContain('seed');
  });
});
