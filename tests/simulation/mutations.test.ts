/** The laws and the simulation, tested: each guard that is taken out of the real code turns the law red that it serves. */
import { describe, expect, it } from 'vitest';
import { LAWS } from '../laws/world.ts';
import { hunt } from './mutants.ts';
import { MUTATIONS } from './mutations.ts';

describe('without a guard', () => {
  it('some law is broken, for every guard', async () => {
    const verdicts = await hunt();
    const unnoticed = verdicts.filter(({ noticed }) => !noticed);
    expect(
      unnoticed.map(({ mutation, red, seeds }) => ({
        what: mutation.what,
        expects: mutation.expects,
        red,
        seeds,
      })),
    ).toEqual([]);
  }, 240_000);

  it('every law has a guard that it serves', () => {
    const served = new Set(MUTATIONS.flatMap(({ expects }) => expects));
    expect(LAWS.filter((law) => !served.has(law))).toEqual([]);
  });
});
