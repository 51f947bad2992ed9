import { expect, it } from 'vitest';
import { RecentTexts } from '../../worker/lib/recent-texts.ts';

it('keeps the texts that came last, as many as fit', () => {
  const recent = new RecentTexts(10);
  for (const text of ['one', 'two', 'two', 'four']) recent.add(text);
  expect(['one', 'two', 'four'].map((text) => recent.has(text))).toEqual([true, true, true]);
  recent.add('x');
  expect(['one', 'two', 'four', 'x'].map((text) => recent.has(text))).toEqual([false, true, true, true]);
});

it('keeps none that would take the place of all others', () => {
  const recent = new RecentTexts(10);
  recent.add('one');
  recent.add('sixsix');
  expect([recent.has('one'), recent.has('sixsix')]).toEqual([true, false]);
});
