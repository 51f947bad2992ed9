import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { fieldMessage } from '../../worker/domain/field-message.ts';

const Body = z.object({
  name: z.string(),
  size: z.number().max(2),
  kind: z.literal('batch', { error: 'must be "batch"' }),
});

/** The message about the first field of a body that is wrong. */
function messageAbout(body: object): string {
  const [issue] = Body.safeParse({ name: 'a', size: 1, kind: 'batch', ...body }).error!.issues;
  return fieldMessage(issue!.path.join('.'), issue!.message);
}

describe('a message about a field', () => {
  it.each([
    ['a field that is missing', { name: undefined }, '`name` is required.'],
    ['a field of another type', { name: 1 }, '`name`: expected string, received number.'],
    ['a value out of bounds', { size: 3 }, '`size`: too big: expected number to be <=2.'],
    ['a message of our own', { kind: 'other' }, '`kind` must be "batch".'],
  ])('names %s in one sentence', (_, body, message) => {
    expect(messageAbout(body)).toBe(message);
  });
});
