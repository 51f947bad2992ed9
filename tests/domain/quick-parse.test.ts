/** The quick parser beside zod itself: the same result for every body, accepted or refused. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import * as z from 'zod';
import { Heartbeat } from '../../gpu-pool/protocol/schemas.ts';
import { MessagesBody } from '../../worker/gateway/dialects/anthropic-messages-request.ts';
import { ChatBody } from '../../worker/gateway/dialects/openai-chat-request.ts';
import { CompletionsBody } from '../../worker/gateway/dialects/openai-completions.ts';
import { ResponsesBody } from '../../worker/gateway/dialects/openai-responses-request.ts';
import { quickParse } from '../../worker/lib/quick-parse.ts';
import { listFixtures, readFixture } from '../clients/fixture.ts';

const SCHEMAS: readonly [path: RegExp, schema: z.ZodType][] = [
  [/\/chat\/completions$/, ChatBody],
  [/\/messages(\?.*)?$/, MessagesBody],
  [/\/responses$/, ResponsesBody],
  [/^\/v1\/completions$/, CompletionsBody],
];

/** The bodies that real clients sent, with the schema that reads it. */
const recorded = listFixtures().flatMap((client) =>
  Object.values(readFixture(client).scenarios)
    .flatMap(({ turns }) => turns.flatMap(({ exchanges }) => exchanges))
    .flatMap(({ path, body }) => {
      const schema = SCHEMAS.find(([of]) => of.test(path))?.[1];
      return schema && body !== undefined ? [{ client, schema, body }] : [];
    }),
);

const HEARTBEAT = {
  ...{ sent_at_ms: 1, agent_version: '1', in_flight: 3, draining: false },
  engine: { healthy: true, version: '1', model_path: 'a/b', weight_version: 'w' },
  load: {
    ...{ running_requests: 1, waiting_requests: 0, waiting_tokens: 0, used_tokens: 5, capacity_tokens: 9 },
    ...{ max_running_requests: 4, generation_tokens_per_second: 7.5, cache_hit_rate: 0.5 },
  },
  receipts: [
    {
      ...{ seq: 1, account_id: 'acct_1', request_id: 'req_1', model: 'm', outcome: 'finished', ttft_ms: 3 },
      ...{ started_at_ms: 1, ended_at_ms: 2, overrun_tokens: 0, ticket: 'lease_01.s' },
      usage: { prompt_tokens: 5, cached_tokens: 0, completion_tokens: 4, reasoning_tokens: 0 },
    },
  ],
};

function expectSame(schema: z.ZodType, value: unknown): void {
  const expected = schema.safeParse(value);
  const parsed = quickParse(schema, value);
  expect(parsed.success).toBe(expected.success);
  expect(parsed.data).toEqual(expected.data);
  // in the same order, too, because a body is serialized again
  expect(JSON.stringify(parsed.data)).toBe(JSON.stringify(expected.data));
  expect(parsed.error?.issues).toEqual(expected.error?.issues);
}

type Step = string | number;

/** Every place of a value. */
function placesOf(value: unknown, at: readonly Step[] = []): (readonly Step[])[] {
  if (typeof value !== 'object' || value === null) return [at];
  const inner = Object.entries(value).flatMap(([name, each]) =>
    placesOf(each, [...at, Array.isArray(value) ? Number(name) : name]),
  );
  return [at, ...inner];
}

/** The value with another one, or nothing, in one place. */
function changed(value: unknown, [step, ...rest]: readonly Step[], to: { value?: unknown }): unknown {
  if (step === undefined) return to.value;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<Step, unknown>;
  if (rest.length > 0) copy[step] = changed(copy[step], rest, to);
  else if (Array.isArray(copy) && !('value' in to)) copy.splice(Number(step), 1);
  else if ('value' in to) copy[step] = to.value;
  else delete copy[step];
  return copy;
}

const strange = fc.oneof(
  fc.constant({}),
  fc
    .oneof(
      fc.constantFrom('', 'auto', 'function', 'text', 'user', 0, -1, 1.5, 1e9, true, null, undefined),
      fc.constantFrom([], {}, [null], [{}], { type: 'text', text: 'a' }, JSON.parse('{"__proto__":{"a":1}}')),
      fc.jsonValue({ maxDepth: 2 }),
    )
    .map((value) => ({ value })),
);

describe('the quick parser', () => {
  it.each([...SCHEMAS.map(([, schema]) => schema), Heartbeat])(
    'agrees with zod about bodies like those of clients, and wrong ones (%#)',
    (schema) => {
      const own = schema === Heartbeat ? [HEARTBEAT] : recorded.filter((each) => each.schema === schema);
      const bodies = own.map((each) => ('body' in each ? each.body : each));
      if (bodies.length === 0) bodies.push({ model: 'm', prompt: 'once', stop: ['a'], max_tokens: 3 });
      const small = bodies.toSorted((a, b) => placesOf(a).length - placesOf(b).length).slice(0, 40);
      for (const body of bodies) expectSame(schema, body);
      const mutated = fc
        .constantFrom(...small)
        .chain((body) => fc.tuple(fc.constant(body), fc.constantFrom(...placesOf(body)), strange))
        .map(([body, place, to]) => changed(body, place, to));
      fc.assert(
        fc.property(mutated, (body) => expectSame(schema, body)),
        { numRuns: 500 },
      );
    },
    120_000,
  );

  it('agrees with zod about kinds of schemas that bodies have little of', () => {
    const text = z.string().transform((value) => value.length);
    const schema = z.object({
      word: z.string().default('none'),
      maybe: z.string().default('none').optional(),
      count: z.coerce.number().optional(),
      length: text.optional(),
      many: z
        .union([z.object({ a: z.string() }), z.object({ b: z.int().default(3) }), z.array(text)])
        .nullish(),
      read: z.preprocess((value) => value ?? undefined, z.string().optional()),
      one: z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('a'), x: z.number() }),
        z.object({ kind: z.literal('b').nullish(), y: z.strictObject({ z: z.boolean() }) }),
      ]),
      any: z.record(z.string(), z.unknown()).refine((value) => Object.keys(value).length < 3),
      anything: z.unknown(),
    });
    const leaf = fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.constantFrom(undefined, 'a', 1, { z: true }));
    const body = fc.record(
      {
        ...{ word: leaf, maybe: leaf, count: leaf, length: leaf, read: leaf, anything: leaf },
        many: fc.oneof(leaf, fc.record({ a: leaf, b: leaf }, { requiredKeys: [] }), fc.array(leaf)),
        one: fc.record(
          { kind: fc.constantFrom('a', 'b', null, 'c'), x: leaf, y: leaf },
          { requiredKeys: [] },
        ),
        any: fc.dictionary(fc.constantFrom('a', '__proto__', 'constructor', 'b'), leaf),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(body, (value) => expectSame(schema, value)),
      { numRuns: 2_000 },
    );
  });

  it('does without zod for what real clients send', () => {
    for (const { schema, body } of recorded) {
      if (!schema.safeParse(body).success) continue;
      const whole = vi.spyOn(schema, 'safeParse');
      quickParse(schema, body);
      expect(whole).not.toHaveBeenCalled();
      whole.mockRestore();
    }
  });
});
