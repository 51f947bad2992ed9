/**
 * The JSON Schema of a dialect's body as clients may send it. Dialects read a body in its plainest form
 * (gateway/dialects/readable-dialect.ts), so their own schemas know neither nulls nor parts that are no text.
 */

type JsonSchema = Record<string, unknown>;

/** Fields whose value is a text, or an array of parts. */
const PARTS: readonly string[] = ['content', 'output', 'system'];

export function acceptedBody(schema: JsonSchema): JsonSchema {
  return accepted(schema, null);
}

/** @param name the field's, whose value the schema describes; null: it has none */
function accepted(schema: JsonSchema, name: string | null): JsonSchema {
  const { properties, items, anyOf, oneOf } = schema;
  return {
    ...schema,
    ...(isSchema(properties) && { properties: acceptedFields(properties, requiredOf(schema)) }),
    ...(Array.isArray(anyOf) && { anyOf: acceptedOptions(anyOf, name) }),
    ...(Array.isArray(oneOf) && { oneOf: oneOf.map((option) => accepted(option, name)) }),
    ...(isSchema(items) && { items: acceptedItems(items, name) }),
  };
}

function acceptedFields(properties: JsonSchema, required: readonly unknown[]): JsonSchema {
  const fields = Object.entries(properties).map(([name, given]) => {
    const options = alternatives(given as JsonSchema, name);
    const isOptional = !required.includes(name) && !options.some(allowsNull);
    const all = isOptional ? [...options, { type: 'null' }] : options;
    return [name, all.length === 1 ? all[0] : { anyOf: all }] as const;
  });
  return Object.fromEntries(fields);
}

function acceptedOptions(options: readonly JsonSchema[], name: string | null): JsonSchema[] {
  const hasText = options.some(({ type }) => type === 'string');
  return options.flatMap((option) => (hasText ? [accepted(option, name)] : alternatives(option, name)));
}

/** Where there may be an array of parts, a text may stand in its place. */
function alternatives(given: JsonSchema, name: string | null): JsonSchema[] {
  const schema = accepted(given, name);
  const isParts = isSchema(given.items) && mayHaveParts(given.items, name);
  return isParts ? [{ type: 'string' }, schema] : [schema];
}

function acceptedItems(items: JsonSchema, name: string | null): JsonSchema {
  const own = accepted(items, null);
  if (!mayHaveParts(items, name)) return own;
  const type = { type: 'string', not: { enum: typesOf(items) } };
  const other = {
    type: 'object',
    properties: { type },
    required: ['type'],
    description:
      'a part of any other type: its text is passed on if it has any, and otherwise a note of what was left out',
  };
  return { anyOf: [own, other] };
}

function mayHaveParts(items: JsonSchema, name: string | null): boolean {
  return name !== null && PARTS.includes(name) && typesOf(items).length > 0;
}

/** The types of the parts that a schema describes. */
function typesOf(items: JsonSchema): unknown[] {
  const options = [items.anyOf, items.oneOf].find(Array.isArray) ?? [];
  const type = isSchema(items.properties) ? items.properties.type : undefined;
  const own = isSchema(type)
    ? 'const' in type
      ? [type.const]
      : Array.isArray(type.enum)
        ? type.enum
        : []
    : [];
  return [...own, ...options.flatMap(typesOf)];
}

function allowsNull({ type, anyOf, ...rest }: JsonSchema): boolean {
  if (type === 'null' || (Array.isArray(type) && type.includes('null'))) return true;
  if (Array.isArray(anyOf)) return anyOf.some(allowsNull);
  return type === undefined && Object.keys(rest).length === 0;
}

function requiredOf({ required }: JsonSchema): readonly unknown[] {
  return Array.isArray(required) ? required : [];
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
