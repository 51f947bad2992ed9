/** The person's own words in a password. */
import { expect, it } from 'vitest';
import { isMadeOf, ownWords } from '../../worker/domain/password.ts';

const words = ownWords({
  email: 'ada.lovelace@analytical-engines.example.com',
  name: 'Ada Lovelace',
  accountNames: ['Difference Works'],
});

it.each([
  'adalovelace',
  'Ada.Lovelace',
  'ADALOVELACE1815',
  'lovelace-ada-1815',
  'tollgate2026!',
  'TollGate-Ada-26',
  'analytical-engines',
  'Difference2026',
  'differenceworks',
  '2026example!!!',
  '123ada5678',
])('are all there is in %s', (password) => {
  expect(isMadeOf(words, password)).toBe(true);
});

it.each([
  'correct horse battery',
  'ada has quiet mornings',
  'lovelace plays the trombone',
  'jX3!kd9Qpz',
  'éléphant rose 12',
])('are not all there is in %s', (password) => {
  expect(isMadeOf(words, password)).toBe(false);
});

it('do not include parts too short to mean anything, nor the top-level domain', () => {
  expect(ownWords({ email: 'a.bc@x.dev', name: 'Al', accountNames: [] })).toEqual([
    'tollgate',
    'a.bc',
    'abc',
  ]);
});
