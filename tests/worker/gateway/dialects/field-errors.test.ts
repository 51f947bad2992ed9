/** An error about a name that a field does not take says the rule that the name breaks. */
import { expect, it } from 'vitest';
import { type Name, read } from './read.ts';

const BODIES: Record<Name, object> = {
  chat: { messages: [{ role: 'user', content: 'x' }] },
  completions: { prompt: 'x' },
  responses: { input: 'x' },
  messages: { messages: [{ role: 'user', content: 'x' }] },
};

it.each(Object.keys(BODIES) as Name[])('%s: a bias of no token id says so', (name) => {
  const result = read(name, { ...BODIES[name], logit_bias: { '1.5': 1 } });
  expect(result.ok ? null : result.error).toEqual({
    reason: 'invalid_field',
    param: 'logit_bias.1.5',
    message: '`logit_bias.1.5` is no token id: one is a whole number.',
  });
});
