/** The model that examples name is the one that is sold. */
import { expect, it } from 'vitest';
import { exampleModelId } from '../../worker/domain/example-model.ts';
import type { DatedPrice } from '../../worker/domain/pricing.ts';

const NOW = Date.UTC(2026, 10, 30);
const model = (id: string, fromMs: number | null, endsAtMs: number | null = null) => ({
  id,
  endsAtMs,
  prices: fromMs === null ? [] : [{ fromMs } as DatedPrice],
});

it.each([
  ['the one that was sold first', [model('b', 1), model('a', 2)], 'b'],
  ['the first by id of those that began together', [model('b', 1), model('a', 1)], 'a'],
  ['none that is not sold yet', [model('a', NOW + 1), model('b', null), model('c', NOW)], 'c'],
  ['none that has ended', [model('a', 1, NOW), model('b', 2)], 'b'],
  ['one whose end is announced only in want of another', [model('a', 1, NOW + 1), model('b', 2)], 'b'],
  ['one whose end is announced', [model('a', 1, NOW + 1)], 'a'],
  ['a word where nothing is sold', [], 'MODEL'],
])('is %s', (_, models, expected) => {
  expect(exampleModelId(models, NOW)).toBe(expected);
});
