/**
 * The effect of each keyword of JSON Schema at the engine, as data: SGLang 0.5.23 with xgrammar 0.2.7, and xgrammar 0.2.9.
 * tests/engine/schemas/ records what those really do, and tests/domain/json-schema.test.ts holds this table to it.
 */

/** The values that JSON Schema 2020-12 allows for a keyword. */
export type Shape =
  | 'any'
  | 'string'
  | 'boolean'
  | 'number'
  | 'positive number'
  | 'count'
  | 'array'
  | 'names'
  | 'type'
  | 'pattern'
  | 'schema'
  | 'schemas'
  | 'schemas by name'
  | 'schemas by pattern'
  | 'names by name'
  | 'names or schemas by name'
  | 'anything with a schema';

/**
 * enforced: no answer breaks it; narrowed: no answer breaks it, and some that fit it cannot be written either; partly: see the
 * caveat; ignored: an answer may break it; refused: 400; annotation: it constrains nothing, and the grammar does not read it
 */
export type Effect = 'enforced' | 'narrowed' | 'partly' | 'ignored' | 'refused' | 'annotation';

export interface Keyword {
  readonly value: Shape;
  readonly effect: Effect;
}

const keyword = (value: Shape, effect: Effect): Keyword => ({ value, effect });

export const KEYWORDS: Readonly<Record<string, Keyword>> = {
  type: keyword('type', 'enforced'),
  enum: keyword('array', 'enforced'),
  const: keyword('any', 'enforced'),

  properties: keyword('schemas by name', 'narrowed'),
  required: keyword('names', 'partly'),
  additionalProperties: keyword('schema', 'enforced'),
  unevaluatedProperties: keyword('schema', 'enforced'),
  patternProperties: keyword('schemas by pattern', 'narrowed'),
  propertyNames: keyword('schema', 'partly'),
  minProperties: keyword('count', 'enforced'),
  maxProperties: keyword('count', 'narrowed'),

  items: keyword('schema', 'enforced'),
  prefixItems: keyword('schemas', 'enforced'),
  unevaluatedItems: keyword('schema', 'enforced'),
  minItems: keyword('count', 'enforced'),
  maxItems: keyword('count', 'narrowed'),

  minLength: keyword('count', 'narrowed'),
  maxLength: keyword('count', 'narrowed'),
  pattern: keyword('pattern', 'narrowed'),
  format: keyword('string', 'enforced'),

  minimum: keyword('number', 'narrowed'),
  maximum: keyword('number', 'narrowed'),
  exclusiveMinimum: keyword('number', 'narrowed'),
  exclusiveMaximum: keyword('number', 'narrowed'),

  anyOf: keyword('schemas', 'enforced'),
  oneOf: keyword('schemas', 'partly'),
  allOf: keyword('schemas', 'partly'),
  $ref: keyword('string', 'partly'),
  $defs: keyword('schemas by name', 'annotation'),
  definitions: keyword('schemas by name', 'annotation'),

  multipleOf: keyword('positive number', 'refused'),
  uniqueItems: keyword('boolean', 'refused'),
  contains: keyword('schema', 'refused'),
  minContains: keyword('count', 'refused'),
  maxContains: keyword('count', 'refused'),
  not: keyword('schema', 'refused'),
  if: keyword('schema', 'refused'),
  // biome-ignore lint/suspicious/noThenProperty: `then` is the keyword's name; a string is no function to await.
  then: keyword('schema', 'refused'),
  else: keyword('schema', 'refused'),
  dependentRequired: keyword('names by name', 'refused'),
  dependentSchemas: keyword('schemas by name', 'refused'),

  additionalItems: keyword('anything with a schema', 'ignored'),
  dependencies: keyword('names or schemas by name', 'ignored'),
  $dynamicRef: keyword('string', 'ignored'),

  title: keyword('string', 'annotation'),
  description: keyword('string', 'annotation'),
  default: keyword('any', 'annotation'),
  examples: keyword('array', 'annotation'),
  deprecated: keyword('boolean', 'annotation'),
  readOnly: keyword('boolean', 'annotation'),
  writeOnly: keyword('boolean', 'annotation'),
  contentEncoding: keyword('string', 'annotation'),
  contentMediaType: keyword('string', 'annotation'),
  contentSchema: keyword('schema', 'annotation'),
  $schema: keyword('string', 'annotation'),
  $id: keyword('string', 'annotation'),
  $anchor: keyword('string', 'annotation'),
  $dynamicAnchor: keyword('string', 'annotation'),
  $comment: keyword('string', 'annotation'),
};

/** The values of `format` that the grammar knows; any other is refused where the value can be a string. */
export const FORMATS: readonly string[] = [
  'date',
  'date-time',
  'duration',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'json-pointer',
  'relative-json-pointer',
  'time',
  'uri',
  'uri-reference',
  'uri-template',
  'uuid',
];

export const TYPES: readonly string[] = ['array', 'boolean', 'integer', 'null', 'number', 'object', 'string'];

/** The one of these keywords that stands first here is followed, and all others beside it are not read. */
export const EXCLUSIVE = ['$ref', 'const', 'enum', 'anyOf', 'oneOf', 'allOf'] as const;

/** Keywords by which a schema without `type` is read as one of objects or of arrays. */
export const OBJECT_HINTS = ['properties', 'additionalProperties', 'unevaluatedProperties'] as const;
export const ARRAY_HINTS = ['items', 'prefixItems', 'unevaluatedItems'] as const;

/**
 * Names of types in databases and languages, which SGLang takes in schemas of tools (not of answers) for those of JSON Schema
 * (function_call/utils.py, `normalize_json_schema_types`).
 */
const TYPE_ALIASES: Readonly<Record<string, readonly string[]>> = {
  string:
    'str text varchar char enum uuid date datetime time timestamp binary blob bytea bytes varbinary'.split(
      ' ',
    ),
  boolean: ['bool'],
  integer: ['bigint', 'smallint', 'tinyint'],
  number: ['double', 'decimal', 'real', 'numeric'],
  array: ['arr', 'tuple', 'set'],
  object: ['map'],
};
/** Also with a size or parameters behind them: `int32`, `list[str]`. */
const TYPE_PREFIXES = {
  integer: /^(int|uint|long|short|unsigned)(?=$|[\d[<( \t])/,
  number: /^(num|float)(?=$|[\d[<( \t])/,
  array: /^list(?=$|[\d[<( \t])/,
  object: /^dict(?=$|[\d[<( \t])/,
} as const;

/** JSON Schema's name of a type as a tool's schema may write it; the text itself where it is none. */
export function typeOfAlias(written: string): string {
  if (TYPES.includes(written)) return written;
  const name = written.split('(', 1)[0]!.trim().toLowerCase();
  if (TYPES.includes(name)) return name;
  for (const [type, aliases] of Object.entries(TYPE_ALIASES)) if (aliases.includes(name)) return type;
  for (const [type, prefix] of Object.entries(TYPE_PREFIXES)) if (prefix.test(name)) return type;
  return written;
}
