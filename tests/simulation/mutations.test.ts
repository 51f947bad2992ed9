/** Tests the laws and the simulation themselves: removing any guard from the real code breaks the law that it serves. */
import { describe, expect, it } from 'vitest';
import { LAWS } from '../laws/world.ts';
import { runMutations } from './mutants.ts';
import { MUTATIONS } from './mutations.ts';

describe('a simulation of the Worker without one of its guards', () => {
  it('breaks an expected law, whichever guard is removed', async () => {
    const verdicts = await runMutations();
    const unnoticed = verdicts.filter(({ noticed }) => !noticed);
    expect(
      unnoticed.map(({ mutation, red, seeds }) => ({
        what: mutation.what,
        expects: mutation.expects,
        red,
        seeds,
      })),
    ).toEqual([]);
  });

  it('is tried for every law at least once', () => {
    const served = new Set(MUTATIONS.flatMap(({ expects }) => expects));
    expect(LAWS.filter((law) => !served.has(law))).toEqual([]);
  });
});
