/**
 * Whether a schema is a valid one of JSON Schema 2020-12. SGLang checks the parameters of every tool so, its patterns with
 * Python's `re` (serving_chat.py, `Draft202012Validator.check_schema`).
 */
import { KEYWORDS, type Shape, TYPES, typeOfAlias } from './keywords.ts';
import { pythonPatternFault } from './python-pattern.ts';
import { isObject, type Path, subSchemas } from './walk.ts';

export interface SchemaFault {
  /** Where in the schema. */
  readonly path: Path;
  /** The rest of a sentence: `must …` or `is …`. */
  readonly message: string;
}

interface Check {
  valid(value: unknown): boolean;
  readonly message: string;
}

const isSchema = (value: unknown) => isObject(value) || typeof value === 'boolean';
const isName = (value: unknown) => typeof value === 'string';
const isNames = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every(isName) && new Set(value).size === value.length;
const everyMember = (value: unknown, check: (member: unknown) => boolean) =>
  isObject(value) && Object.values(value).every(check);
const isNumber = (value: unknown) => typeof value === 'number' && Number.isFinite(value);

const CHECKS: Readonly<Record<Shape, Check>> = {
  any: { valid: () => true, message: '' },
  'anything with a schema': { valid: () => true, message: '' },
  string: { valid: isName, message: 'must be a string' },
  pattern: { valid: isName, message: 'must be a string' },
  boolean: { valid: (value) => typeof value === 'boolean', message: 'must be true or false' },
  number: { valid: isNumber, message: 'must be a number' },
  'positive number': {
    valid: (value) => isNumber(value) && (value as number) > 0,
    message: 'must be a number above 0',
  },
  count: {
    valid: (value) => Number.isInteger(value) && (value as number) >= 0,
    message: 'must be a whole number of 0 or more',
  },
  array: { valid: Array.isArray, message: 'must be an array' },
  names: { valid: isNames, message: 'must be an array of different strings' },
  type: { valid: () => true, message: '' },
  schema: { valid: isSchema, message: 'must be a schema: an object, true or false' },
  schemas: {
    valid: (value) => Array.isArray(value) && value.length > 0 && value.every(isSchema),
    message: 'must be an array of one or more schemas',
  },
  'schemas by name': {
    valid: (value) => everyMember(value, isSchema),
    message: 'must be an object whose values are schemas',
  },
  'schemas by pattern': {
    valid: (value) => everyMember(value, isSchema),
    message: 'must be an object whose values are schemas',
  },
  'names by name': {
    valid: (value) => everyMember(value, isNames),
    message: 'must be an object whose values are arrays of different strings',
  },
  'names or schemas by name': {
    valid: (value) => everyMember(value, (member) => isSchema(member) || isNames(member)),
    message: 'must be an object whose values are schemas or arrays of different strings',
  },
};

/** Characters and beginnings that these keywords allow. */
const WRITTEN_SO: Readonly<Record<string, RegExp>> = {
  $id: /^[^#]*#?$/,
  $anchor: /^[A-Za-z_][-A-Za-z0-9._]*$/,
  $dynamicAnchor: /^[A-Za-z_][-A-Za-z0-9._]*$/,
};

/**
 * The first invalid value; null: none.
 * @param tool the schema is one of a tool: annotations and patterns are checked as well, and types may have other names
 */
export function shapeFault(root: unknown, { tool }: { tool: boolean }): SchemaFault | null {
  for (const { schema, path } of subSchemas(root)) {
    for (const [name, value] of Object.entries(schema)) {
      if (!Object.hasOwn(KEYWORDS, name)) continue;
      const { value: shape, effect } = KEYWORDS[name]!;
      if (effect === 'annotation' && !tool) continue;
      const message = valueFault(name, value, { shape, tool });
      if (message !== null) return { path: [...path, name], message };
    }
  }
  return null;
}

function valueFault(
  name: string,
  value: unknown,
  { shape, tool }: { shape: Shape; tool: boolean },
): string | null {
  if (shape === 'type') return typeFault(value, tool);
  const check = CHECKS[shape];
  if (!check.valid(value)) return check.message;
  const written = WRITTEN_SO[name];
  if (written && !written.test(value as string)) return `must match ${written.source}`;
  if (!tool) return null;
  const patterns = shape === 'schemas by pattern' ? Object.keys(value as object) : [];
  if (shape === 'pattern') patterns.push(value as string);
  const fault = patterns.map(pythonPatternFault).find((each) => each !== null);
  return fault === undefined
    ? null
    : `is not a pattern that the engine reads (Python’s “re”), because ${fault}`;
}

function typeFault(value: unknown, tool: boolean): string | null {
  const written = Array.isArray(value) ? value : [value];
  const types = written.map((type) => (tool && typeof type === 'string' ? typeOfAlias(type) : type));
  const known = types.length > 0 && types.every((type) => TYPES.includes(type as string));
  return known ? null : `must be one of ${TYPES.join(', ')}, or an array of them`;
}
