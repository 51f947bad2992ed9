/** Bounds of the work that a schema, a pattern and a stop sequence cause in the engine, whatever bytes they are written in. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  grammarFault,
  SCHEMA_BOUNDS,
  SCHEMA_DEPTH_MAX,
  STOP_BYTES_MAX,
  schemaSizeFault,
  stopFault,
} from '../../worker/domain/grammar.ts';
import { parsePattern } from '../../worker/domain/pattern-size.ts';
import { ChatTools } from '../../worker/gateway/dialects/tools/chat-tools.ts';

const nested = (levels: number): object =>
  levels === 1 ? {} : { properties: levels === 2 ? {} : { a: nested(levels - 2) } };

describe('a schema', () => {
  it.each<[string, object]>([
    [
      'as OpenAI’s guide shows it',
      { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] },
    ],
    ['with zod’s bounds of an integer', { type: 'integer', minimum: -(2 ** 53), maximum: 2 ** 53 }],
    ['with a date pattern', { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2})?$' }],
    ['of 500 properties', { properties: Object.fromEntries(Array.from({ length: 500 }, (_, i) => [i, {}])) }],
    ['with texts of some length', { properties: { a: { maxLength: 20_000 }, b: { maxItems: 1_000 } } }],
    ['just deep enough', nested(SCHEMA_DEPTH_MAX)],
    [
      'whose properties have the names of keywords',
      { properties: { pattern: {}, maxLength: {}, minItems: {} } },
    ],
  ])('%s is accepted', (_, schema) => {
    expect(schemaSizeFault(schema)).toBeNull();
  });

  it.each<[string, object, RegExp]>([
    ['too many bytes', { description: 'é'.repeat(SCHEMA_BOUNDS.bytes / 2) }, /at most 131072 bytes/],
    ['too many values', { enum: Array.from({ length: 10_000 }, () => 1) }, /at most 10000 values/],
    ['too deep a nesting', nested(SCHEMA_DEPTH_MAX + 1), /at most 32 levels/],
    ['too long a text', { maxLength: 100_001 }, /at most 100000/],
    ['too long a text, in an array', { anyOf: [{ items: [{ minLength: 1e9 }] }] }, /at most 100000/],
    ['too many items', { minItems: 5e5 }, /at most 100000/],
    ['many counts', { anyOf: Array.from({ length: 101 }, () => ({ maxItems: 1_000 })) }, /at most 100000/],
    ['a count of many properties', { maxProperties: 1_000, properties: wide(200) }, /at most 100000/],
    ['a repetition of repetitions', { pattern: '((a{100}){100}){100}' }, /at most 100000/],
    ['the same in a property’s name', { patternProperties: { '((a{99}){99}){99}': {} } }, /at most 100000/],
    ['deeply nested groups', { pattern: `${'('.repeat(9)}a${')+'.repeat(9)}` }, /groups are nested/],
  ])('with %s is refused', (_, schema, fault) => {
    expect(schemaSizeFault(schema)).toMatch(fault);
  });

  it('is measured without recursion, however deep it is', () => {
    const deep = JSON.parse(`${'{"a":'.repeat(3_000)}1${'}'.repeat(3_000)}`) as object;
    expect(schemaSizeFault(deep)).toMatch(/levels deep/);
    expect(grammarFault([deep], SCHEMA_BOUNDS)).toBeNull();
  });
});

function wide(count: number) {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, {}]));
}

describe('a pattern', () => {
  it.each([
    ['abc', 3],
    ['a{5}', 5],
    ['a{2,7}b', 8],
    ['a{3,}', 3],
    ['(ab){3}', 6],
    ['(ab|[^\\]x]){4}', 16],
    ['((a{3}){4}){5}', 60],
    ['\\d{4}-\\d{2}', 7],
    ['[(](a{10}){10}[)]', 102],
    ['[](a{10}){10}', 101],
    ['a**??', 1],
    ['{5}', 0],
    ['(a{100}', 100],
    ['a{1', 3],
  ])('%s has %i steps', (pattern, size) => {
    expect(parsePattern(pattern).size).toBe(size);
  });

  it('is as long as itself once its counts are written out', () => {
    const simple = fc.letrec<{ atom: string; repeated: string; group: string; sequence: string }>((tie) => ({
      atom: fc.constantFrom('a', '.', '\\d', '[b-d]', '[^x\\]]'),
      repeated: fc.tuple(tie('group'), fc.integer({ min: 1, max: 4 })).map(([text, n]) => `${text}{${n}}`),
      group: fc.oneof(
        { depthSize: 'small' },
        tie('atom'),
        tie('sequence').map((text) => `(${text})`),
      ),
      sequence: fc
        .array(fc.oneof(tie('atom'), tie('repeated')), { minLength: 1, maxLength: 3 })
        .map((parts) => parts.join('')),
    })).sequence;
    fc.assert(
      fc.property(simple, (pattern) => {
        expect(parsePattern(pattern).size).toBe(writtenOut(pattern));
      }),
    );
  });

  it('never has a negative or endless size', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'(){}[]\\ab19,?*+^|') }), (pattern) => {
        const { size, depth } = parsePattern(pattern);
        expect(size).toBeGreaterThanOrEqual(0);
        expect(Number.isFinite(size) && Number.isFinite(depth)).toBe(true);
      }),
    );
    expect(parsePattern(`a${'{99999999999}'.repeat(100)}`).size).toBeLessThan(Number.POSITIVE_INFINITY);
  });
});

/** The steps of a pattern after its counts were replaced, innermost first, by as many copies. */
function writtenOut(pattern: string): number {
  let text = pattern.replaceAll(/\\d|\[[^\]\\]*(?:\\.[^\]\\]*)*\]|\./g, 'a');
  for (let before = ''; before !== text; ) {
    before = text;
    text = text
      .replaceAll(
        /(a|\(a*\))\{(\d)\}/g,
        (_, atom: string, times: string) => `(${atom.repeat(Number(times))})`,
      )
      .replaceAll(/\((a*)\)(?!\{)/g, '$1');
  }
  return text.length;
}

it('a stop sequence is bounded by its bytes', () => {
  expect(stopFault('é'.repeat(STOP_BYTES_MAX / 2))).toBeNull();
  expect(stopFault('é'.repeat(STOP_BYTES_MAX / 2 + 1))).toMatch(/at most 512 bytes/);
});

it('refuses a list of tools with a fault again when it comes again, and takes a sound one again', () => {
  const tool = (parameters: object) => ({ type: 'function', function: { name: 'f', parameters } });
  const sound = [tool({ type: 'object' })];
  const faulty = [tool({ type: 'object', properties: { a: { type: 'strange' } } })];
  for (let turn = 0; turn < 2; turn++) {
    expect(ChatTools.safeParse(sound).success).toBe(true);
    expect(ChatTools.safeParse(faulty).error?.issues[0]?.path).toEqual([
      ...[0, 'function', 'parameters', 'properties', 'a', 'type'],
    ]);
  }
});
