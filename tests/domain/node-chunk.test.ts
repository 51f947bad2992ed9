import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FINISH_REASONS, NodeChunk, TOKENS_MAX } from '../../gpu-pool/protocol.ts';
import { readNodeChunk } from '../../worker/gateway/node-chunk.ts';

/** What JSON.parse can give, and now and then what the protocol wants there. */
const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(
    0,
    -0,
    -1,
    0.5,
    1e300,
    TOKENS_MAX,
    TOKENS_MAX + 1,
    2 ** 53,
    null,
    '',
    [],
    {},
    true,
  ),
);

/** Mostly a good value, sometimes another, sometimes none. */
function field<T>(good: fc.Arbitrary<T>): fc.Arbitrary<{ value: unknown } | null> {
  return fc.oneof(
    { weight: 20, arbitrary: good.map((value) => ({ value })) },
    { weight: 1, arbitrary: anything.map((value) => ({ value })) },
    { weight: 1, arbitrary: fc.constant(null) },
  );
}

/** An object of these fields, with one more now and then that nobody knows. */
function object(shape: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Record<string, unknown>> {
  const known = fc.record(
    Object.fromEntries(Object.entries(shape).map(([name, good]) => [name, field(good)])),
  );
  const more = fc.option(
    fc.tuple(fc.constantFrom('meta_info', 'hidden_states', '__proto__', 'id'), anything),
    {
      freq: 4,
    },
  );
  return fc.tuple(known, more).map(([fields, extra]) => {
    const entries = Object.entries(fields).flatMap(([name, each]) => (each ? [[name, each.value]] : []));
    return Object.fromEntries(extra ? [...entries, extra] : entries) as Record<string, unknown>;
  });
}

/** Half of what may be left out is. */
const optional = (good: fc.Arbitrary<unknown>) => fc.oneof(good, fc.constant(undefined));
const tokens = fc.oneof(fc.nat(50), fc.nat(TOKENS_MAX));
const toolCall = object({
  index: fc.nat(3),
  id: optional(fc.string()),
  type: optional(fc.constant('function')),
  function: object({ name: optional(fc.string()), arguments: optional(fc.string()) }),
});
const choice = object({
  index: fc.nat(8),
  delta: object({
    content: optional(fc.string()),
    reasoning_content: optional(fc.string()),
    tool_calls: optional(fc.array(toolCall, { maxLength: 2 })),
  }),
  finish_reason: fc.constantFrom(null, ...FINISH_REASONS),
  stop_sequence: optional(fc.string()),
  logprobs: optional(fc.jsonValue({ maxDepth: 2 })),
});
const chunk = object({
  choices: fc.array(choice, { maxLength: 3 }),
  usage: object({
    prompt_tokens: tokens,
    cached_tokens: fc.nat(20),
    completion_tokens: tokens,
    reasoning_tokens: fc.nat(20),
  }),
});

describe("a node's chunk", () => {
  it('is read as the schema of the protocol reads it: the same is refused, the same is left behind', () => {
    let taken = 0;
    const check = (value: unknown) => {
      const json: unknown = JSON.parse(JSON.stringify(value) ?? 'null');
      const expected = NodeChunk.safeParse(json);
      const read = readNodeChunk(json);
      // as it is written: no field more, no field in another place
      expect(JSON.stringify(read)).toBe(JSON.stringify(expected.success ? expected.data : null));
      taken += expected.success ? 1 : 0;
    };
    fc.assert(fc.property(chunk, check), { numRuns: 5_000 });
    fc.assert(fc.property(anything, check), { numRuns: 1_000 });
    expect(taken).toBeGreaterThan(500);
  });
});
