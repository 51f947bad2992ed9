/** The parameters of a tool, as far as they decide how the text of an argument becomes a JSON value. */

export interface ToolDefinition {
  name: string;
  /** A JSON Schema, as the client sent it. */
  parameters: unknown;
}

type Schema = Record<string, unknown>;

/** Branches of `anyOf` and the like that are looked at: schemas nest as deep as clients like. */
const DEPTH_MAX = 16;

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The properties of a schema; those of its branches where it has none itself. */
export function parametersOf(schema: unknown, depth = 0): Schema {
  if (!isSchema(schema) || depth > DEPTH_MAX) return {};
  if (isSchema(schema.properties)) return schema.properties;
  const branches = ['anyOf', 'oneOf', 'allOf'].flatMap((keyword) => {
    const value = schema[keyword];
    return Array.isArray(value) ? (value as unknown[]) : [];
  });
  const merged: Schema = {};
  for (const branch of branches)
    for (const [name, property] of Object.entries(parametersOf(branch, depth + 1))) merged[name] ??= property;
  return merged;
}

/** The type of a property's values, `string` where several are possible; null: the schema does not say. */
export function typeOf(schema: unknown, depth = 0): string | null {
  if (!isSchema(schema) || depth > DEPTH_MAX) return null;
  const { type } = schema;
  if (typeof type === 'string') return type.toLowerCase();
  if (Array.isArray(type) && type.length > 0)
    return String(type.find((one) => one !== 'null') ?? 'string').toLowerCase();
  for (const keyword of ['anyOf', 'oneOf']) {
    const branches = schema[keyword];
    if (!Array.isArray(branches)) continue;
    const one = commonType(
      branches.map((branch) => typeOf(branch, depth + 1)).filter((found) => found !== null),
    );
    if (one !== null) return one;
  }
  if (Array.isArray(schema.enum)) return commonType(schema.enum.map(jsonType)) ?? 'string';
  if (Array.isArray(schema.allOf)) {
    const types = schema.allOf.map((branch) => typeOf(branch, depth + 1)).filter((found) => found !== null);
    return types.find((found) => found !== 'string') ?? 'string';
  }
  if ('properties' in schema) return 'object';
  return 'items' in schema ? 'array' : null;
}

function commonType(types: readonly string[]): string | null {
  const distinct = new Set(types.filter((type) => type !== 'null'));
  const [first] = distinct;
  if (first === undefined) return types.length > 0 ? 'null' : null;
  return distinct.size > 1 ? 'string' : first;
}

function jsonType(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}
