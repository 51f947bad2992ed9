import { expect, it } from 'vitest';
import { confirmedEmail, nameOf } from '../../worker/domain/github.ts';

const address = (email: string, verified: boolean, primary = false) => ({ email, verified, primary });

it.each([
  [[], null],
  [[address('a@example.com', false, true)], null],
  [[address('a@example.com', true), address('b@example.com', true, true)], 'b@example.com'],
  [[address('a@example.com', false, true), address('b@example.com', true)], 'b@example.com'],
  [[address('1+mona@users.noreply.github.com', true, true)], null],
])('from %j takes the address %j', (emails, expected) => {
  expect(confirmedEmail(emails)).toBe(expected);
});

it.each([
  [' Mona Lisa ', 'Mona Lisa'],
  [null, 'mona'],
  ['  ', 'mona'],
  ['x'.repeat(81), 'mona'],
  ['Mo\u202ena', 'mona'],
])('a profile named %j is called %j', (name, expected) => {
  expect(nameOf({ id: 1, login: 'mona', name })).toBe(expected);
});
