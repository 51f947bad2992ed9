/** The playground's notes on a JSON schema: what is refused, and where an answer would not be what the schema says. */
import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { schemaFault } from '../../gpu-pool/protocol/json-schema/index.ts';
import { playgroundEn } from '../../worker/i18n/en/playground.ts';
import { type Caveat, schemaNotes } from '../../worker/portal/playground/client/schema-notes.ts';

const notesOf = (schema: unknown) => schemaNotes(JSON.stringify(schema));
const caveatsOf = (schema: unknown) =>
  notesOf(schema).map((note) => (note.kind === 'caveat' ? [note.caveat, ...note.paths] : note));
const text = { type: 'string' };

describe('a text', () => {
  it.each(['', ' \n'])('that is blank (%j) has no notes', (blank) => {
    expect(schemaNotes(blank)).toEqual([]);
  });

  it.each(['{', '{"type": "string",}', 'type: string', '{} {}'])('that is no JSON: %s', (typed) => {
    expect(schemaNotes(typed)).toEqual([{ kind: 'not JSON' }]);
  });

  it.each(['null', 'true', '[]', '"{}"', '1'])('that is JSON, but no object: %s', (typed) => {
    expect(schemaNotes(typed)).toEqual([{ kind: 'no object' }]);
  });
});

describe('a schema that is refused', () => {
  it.each([
    [
      { type: 'object', properties: { price: { type: 'number', multipleOf: 0.01 } } },
      'properties.price.multipleOf',
    ],
    [{ anyOf: [text, { not: {} }] }, 'anyOf.1.not'],
    [{ type: 'text' }, 'type'],
    [{ type: 'string', pattern: '(?<=a)b' }, 'pattern'],
  ])('is noted with the place and the words of the API: %j', (schema, path) => {
    const { message } = schemaFault(schema, 'format')!;
    expect(notesOf(schema)).toEqual([{ kind: 'refused', path, message }]);
  });

  it.each([
    ['nested 100,000 levels deep', `${'{"items":'.repeat(100_000)}{}${'}'.repeat(100_000)}`, 'levels deep'],
    ['of too many bytes', JSON.stringify({ description: 'x'.repeat(200_000) }), 'bytes of JSON'],
  ])('for its size is not walked: %s', (_, typed, message) => {
    expect(schemaNotes(typed)).toEqual([
      { kind: 'refused', path: '', message: expect.stringContaining(message) },
    ]);
  });
});

describe('a schema that is taken', () => {
  it.each<[object, [Caveat, ...string[]][]]>([
    [{ type: 'string', minLength: 1, maxLength: 9 }, [['lengths', 'minLength', 'maxLength']]],
    [{ type: ['string', 'null'], maxLength: 9 }, [['lengths', 'maxLength']]],
    [{ type: 'string', minLength: 0 }, []],
    [{ type: 'integer', maxLength: 9 }, []],
    [{ type: 'string', pattern: '^a$' }, [['pattern', 'pattern']]],
    [{ type: 'number', minimum: 0, exclusiveMaximum: 1 }, [['bounds', 'minimum', 'exclusiveMaximum']]],
    [{ type: 'integer', minimum: 0 }, []],
    [{ allOf: [text, text] }, [['allOf', 'allOf']]],
    [{ allOf: [text] }, []],
    [{ oneOf: [text, { type: 'null' }] }, [['oneOf', 'oneOf']]],
    [{ $ref: '#/$defs/a', $defs: { a: text } }, []],
    [{ $ref: '#a' }, [['reference', '$ref']]],
    [{ $ref: 'https://example.com/a.json' }, [['reference', '$ref']]],
    [{ type: 'object', required: ['a'], anyOf: [{ type: 'object' }] }, [['beside', 'type', 'required']]],
    [{ type: 'string', enum: ['a', 'b'], description: 'A letter.' }, []],
    [{ type: ['integer', 'null'], enum: [1, null] }, []],
    [{ type: 'string', enum: ['a', 1], maxLength: 9 }, [['beside', 'type', 'maxLength']]],
    [{ type: 'integer', const: 1.5 }, [['beside', 'type']]],
    [{ minLength: 1 }, [['untyped', 'minLength']]],
    [{ required: ['a'] }, [['untyped', 'required']]],
    [{ description: 'Anything.' }, []],
    [{ properties: { a: text }, required: ['a', 'b'] }, [['required', 'required']]],
    [{ type: 'object', properties: { a: text }, required: ['a'] }, []],
    [{ type: 'object', patternProperties: { '^a': text } }, [['namePatterns', 'patternProperties']]],
    [
      { type: 'object', patternProperties: { '^a': text }, additionalProperties: true },
      [
        ['namePatterns', 'patternProperties'],
        ['otherNames', 'additionalProperties'],
      ],
    ],
    [{ type: 'object', propertyNames: { pattern: '^a' } }, [['pattern', 'propertyNames.pattern']]],
    [
      { type: 'object', properties: { b: text }, propertyNames: { enum: ['a'] } },
      [['propertyNames', 'propertyNames']],
    ],
    [{ type: 'array', maxItems: 5 }, [['onlyEmpty', 'maxItems']]],
    [{ type: 'array', maxItems: 5, items: {} }, []],
    [{ type: 'object', required: ['a'] }, [['onlyEmpty', 'required']]],
    [{ type: 'object', required: ['a'], additionalProperties: true }, [['required', 'required']]],
    [{ type: 'array', items: text, additionalItems: false }, [['ignored', 'additionalItems']]],
    [{ type: 'string', nullable: true, 'x-order': 1 }, [['ignored', 'nullable']]],
    [{ enum: [{ minLength: 1 }], default: { pattern: 'a' } }, []],
  ])('has its caveats: %j', (schema, expected) => {
    expect(caveatsOf(schema)).toEqual(expected);
  });

  it('has the same caveat once, with all its places', () => {
    const name = { type: 'string', minLength: 1 };
    const schema = { type: 'object', properties: { a: name, b: { type: 'array', items: name } } };
    expect(caveatsOf(schema)).toEqual([
      ['lengths', 'properties.a.minLength', 'properties.b.items.minLength'],
    ]);
  });
});

describe('against what the real engine accepted', () => {
  const lines = readFileSync('tests/engine/schemas/cases.jsonl', 'utf8').split('\n').filter(Boolean);
  const { verdicts } = JSON.parse(
    readFileSync('tests/engine/schemas/recorded/sglang-0.5.23-xgrammar-0.2.7.json', 'utf8'),
  ) as { verdicts: string[] };
  const cases = lines.flatMap((line, index) => {
    const { schema, texts } = JSON.parse(line) as { schema: object; texts: string[] };
    const verdict = verdicts[index]!;
    if (!verdict.startsWith('TF')) return [];
    return [{ schema, accepted: texts.filter((_, at) => verdict[2 + at] === 'y') }];
  });

  it('a schema without a note has no answer that does not fit it', () => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false, validateSchema: false });
    const silent = cases.filter(({ schema }) => notesOf(schema).length === 0);
    const answers = silent.flatMap(({ schema, accepted }) => {
      // Two schemas may have the same `$id`.
      ajv.removeSchema();
      // The engine reads every schema as 2020-12, whatever its `$schema` says.
      const fits = accepted.length === 0 ? () => true : ajv.compile({ ...schema, $schema: undefined });
      return accepted.map((answer) => ({ schema, answer, fits: fits(JSON.parse(answer)) }));
    });
    expect(answers.length).toBeGreaterThan(100);
    expect(answers.filter(({ fits }) => !fits)).toEqual([]);
  });

  it('every caveat that has a text applies to a recorded schema', () => {
    const found = cases.flatMap(({ schema }) =>
      notesOf(schema).flatMap((note) => (note.kind === 'caveat' ? [note.caveat] : [])),
    );
    expect([...new Set(found)].sort()).toEqual(Object.keys(playgroundEn.island.schemaCaveats).sort());
  });
});
