import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DEPTH_MAX, depthOf, valueDepth } from '../../worker/domain/json-depth.ts';

it('counts the nesting of a value as that of its text', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      expect(valueDepth(value)).toBe(depthOf(JSON.stringify(value)));
    }),
  );
});

it.each(['[', '{"a":'])('counts no further than one more than the bound (%s)', (open) => {
  const close = open === '[' ? ']' : '}';
  const inner = open === '[' ? '' : '0';
  const depth = (levels: number) =>
    valueDepth(JSON.parse(open.repeat(levels) + inner + close.repeat(levels)));
  expect([depth(1), depth(DEPTH_MAX), depth(DEPTH_MAX + 1), depth(100_000)]).toEqual([
    ...[1, DEPTH_MAX, DEPTH_MAX + 1, DEPTH_MAX + 1],
  ]);
});
