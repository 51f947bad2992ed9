import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FINISH_REASONS,
  NODE_ERROR_CODES,
  NodeChunk,
  NodeError,
  TOKENS_MAX,
} from '../../gpu-pool/protocol/schemas.ts';
import { readNodeChunk, readNodeError, readTextChunk } from '../../worker/gateway/node/chunk.ts';

/** Any JSON value, including values at the protocol's bounds. */
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

/** Mostly a valid value, sometimes any value, sometimes none. */
function field<T>(valid: fc.Arbitrary<T>): fc.Arbitrary<{ value: unknown } | null> {
  return fc.oneof(
    { weight: 20, arbitrary: valid.map((value) => ({ value })) },
    { weight: 1, arbitrary: anything.map((value) => ({ value })) },
    { weight: 1, arbitrary: fc.constant(null) },
  );
}

/** An object of these fields, sometimes with an unknown field more. */
function object(shape: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Record<string, unknown>> {
  const known = fc.record(
    Object.fromEntries(Object.entries(shape).map(([name, valid]) => [name, field(valid)])),
  );
  const unknown = fc.option(
    fc.tuple(fc.constantFrom('meta_info', 'hidden_states', '__proto__', 'id'), anything),
    {
      freq: 4,
    },
  );
  return fc.tuple(known, unknown).map(([fields, extra]) => {
    const entries = Object.entries(fields).flatMap(([name, each]) => (each ? [[name, each.value]] : []));
    return Object.fromEntries(extra ? [...entries, extra] : entries) as Record<string, unknown>;
  });
}

/** Leaves an optional field out half of the time. */
const optional = (valid: fc.Arbitrary<unknown>) => fc.oneof(valid, fc.constant(undefined));
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
  it('is read as the protocol’s schema reads it: the same chunks are refused, the same fields are stripped', () => {
    let accepted = 0;
    const check = (value: unknown) => {
      const json: unknown = JSON.parse(JSON.stringify(value) ?? 'null');
      const expected = NodeChunk.safeParse(json);
      const read = readNodeChunk(json);
      // Compared as text: there is no additional field, and the order of fields is the same.
      expect(JSON.stringify(read)).toBe(JSON.stringify(expected.success ? expected.data : null));
      accepted += expected.success ? 1 : 0;
    };
    fc.assert(fc.property(chunk, check), { numRuns: 5_000 });
    fc.assert(fc.property(anything, check), { numRuns: 1_000 });
    expect(accepted).toBeGreaterThan(500);
  });

  const text = fc.string({ unit: 'binary' });
  const textChunk = fc.record({
    choices: fc.tuple(
      fc.record({
        index: fc.nat(11),
        delta: fc.oneof(fc.record({ content: text }), fc.record({ reasoning_content: text })),
        finish_reason: fc.constant(null),
      }),
    ),
    usage: fc.record({
      prompt_tokens: tokens,
      cached_tokens: fc.nat(20),
      completion_tokens: tokens,
      reasoning_tokens: fc.nat(20),
    }),
  });

  it('that holds only text is read without JSON.parse, to the same result', () => {
    let accepted = 0;
    const check = (data: string) => {
      const read = readTextChunk(data);
      if (read === null) return;
      accepted += 1;
      expect(read).toEqual(readNodeChunk(JSON.parse(data)));
    };
    const written = textChunk.map((value) => JSON.stringify(value));
    fc.assert(fc.property(written, check), { numRuns: 5_000 });
    // A few characters are changed, added or missing.
    const damaged = fc
      .tuple(written, fc.nat(), fc.nat(1), fc.oneof(fc.constantFrom(...'"\\{}[],:0123-.e \n'), fc.string()))
      .map(
        ([data, at, cut, text]) =>
          data.slice(0, at % data.length) + text + data.slice((at % data.length) + cut),
      );
    fc.assert(fc.property(damaged, check), { numRuns: 20_000 });
    expect(accepted).toBeGreaterThan(2_000);
  });

  it.each([
    ['a leading zero', '"prompt_tokens":20', '"prompt_tokens":020'],
    ['an escape', 'zebra', 'zebra\\n'],
    ['a raw line end', 'zebra', 'zebra\n'],
    ['a finish reason', 'null', '"stop"'],
    ['an additional field', '"index"', '"id":1,"index"'],
    ['a text that ends early', 'zebra', 'zeb"ra'],
    ['text after it', '}}', '}} '],
  ])('is left to JSON.parse with %s', (_difference, from, to) => {
    const data =
      '{"choices":[{"index":0,"delta":{"content":"zebra"},"finish_reason":null}],"usage":{"prompt_tokens":20,"cached_tokens":0,"completion_tokens":1,"reasoning_tokens":0}}';
    expect(readTextChunk(data)).not.toBeNull();
    expect(readTextChunk(data.replace(from, to))).toBeNull();
  });
});

describe("a node's error", () => {
  it('is read as the protocol’s schema reads it', () => {
    const nodeError = object({
      error: object({ code: fc.constantFrom(...NODE_ERROR_CODES), message: fc.string() }),
    });
    let accepted = 0;
    const check = (value: unknown) => {
      const json: unknown = JSON.parse(JSON.stringify(value) ?? 'null');
      const expected = NodeError.safeParse(json);
      expect(readNodeError(json)).toEqual(expected.success ? expected.data.error : null);
      accepted += expected.success ? 1 : 0;
    };
    fc.assert(fc.property(nodeError, check), { numRuns: 2_000 });
    fc.assert(fc.property(anything, check), { numRuns: 1_000 });
    expect(accepted).toBeGreaterThan(500);
  });
});
