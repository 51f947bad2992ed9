/** The shipped profiles, held against the names of the SGLang release that recipes start. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { HARDWARE } from '../../../gpu-pool/protocol/schemas.ts';
import { SHIPPED_MODELS, shippedProfile } from '../../../gpu-pool/protocol/shipped-profiles.ts';
import { FLAGS, profileFlagFault } from '../../../gpu-pool/recipes/flags.ts';
import { MACHINES } from '../../../gpu-pool/recipes/machine.ts';
import { RECOMMENDED } from '../../engine/folder.ts';

interface Names {
  readonly reasoningParsers: readonly string[];
  readonly toolCallParsers: readonly string[];
  readonly arguments: readonly string[];
}
/** Written by tests/engine/record-names.ts. */
const names = JSON.parse(
  readFileSync(new URL(`sglang-${RECOMMENDED}.json`, import.meta.url), 'utf8'),
) as Names;

it('are those of R1, R1-Zero, V3, V3.2 and five other families', () => {
  expect(SHIPPED_MODELS).toEqual(
    expect.arrayContaining(['deepseek-r1-0528', 'deepseek-r1-zero', 'deepseek-v3-0324', 'deepseek-v3.2']),
  );
  expect(new Set(SHIPPED_MODELS.map((id) => shippedProfile(id)!.parsers.tools)).size).toBeGreaterThanOrEqual(
    7,
  );
});

it('are for the release that recipes start', () => {
  for (const { image } of Object.values(MACHINES)) expect(image).toContain(`:v${RECOMMENDED}`);
});

it('recipes set only arguments that the release knows', () => {
  expect(FLAGS.map(({ name }) => name).filter((name) => !names.arguments.includes(name))).toEqual([]);
});

describe.each(SHIPPED_MODELS)('%s', (id) => {
  const profile = shippedProfile(id)!;

  it('has parsers that the release knows', () => {
    const { reasoning, tools } = profile.parsers;
    if (reasoning !== null) expect(names.reasoningParsers).toContain(reasoning);
    if (tools !== null) expect(names.toolCallParsers).toContain(tools);
    // Thoughts can be told from answers exactly where the model has any.
    expect(reasoning === null).toBe(profile.thinking.mode === 'never');
  });

  it('fits some hardware, with arguments that the release knows and a profile may set', () => {
    const fitting = HARDWARE.filter((hardware) => profile.hardware[hardware] !== undefined);
    expect(fitting.length).toBeGreaterThan(0);
    const flags = fitting.flatMap((hardware) => Object.keys(profile.hardware[hardware]!));
    expect(flags.filter((flag) => !names.arguments.includes(flag))).toEqual([]);
    expect(flags.filter((flag) => profileFlagFault(flag) !== null)).toEqual([]);
  });

  it('has the tags that its parsers look for among its control tokens, and a source for its facts', () => {
    const { controlTokens, sources } = profile;
    if (profile.parsers.reasoning !== 'gpt-oss')
      expect(controlTokens).toEqual(expect.arrayContaining(['<think>', '</think>']));
    expect(controlTokens.some((token) => token === '<|*|>' || token === '<｜*｜>')).toBe(true);
    expect(sources.length).toBeGreaterThan(0);
    for (const { fact, source } of sources)
      expect([fact.length > 5, source.length > 10]).toEqual([true, true]);
  });
});
