/**
 * The part of a JSON Schema check that matters here: which schemas SGLang refuses, with a message that quotes them
 * (serving_chat.py, `Draft202012Validator.check_schema`; xgrammar for formats of answers).
 */

const TYPES = ['array', 'boolean', 'integer', 'null', 'number', 'object', 'string'];

/** Python's message of what is invalid in a schema; null: nothing that this check knows. */
export function schemaFault(schema: unknown): string | null {
  if (typeof schema !== 'object' || schema === null) return null;
  const node = schema as Record<string, unknown>;
  const types = typeof node.type === 'string' ? [node.type] : [];
  if (types.some((type) => !TYPES.includes(type))) {
    return `'${types[0]}' is not valid under any of the given schemas\n\nOn schema['type']:\n    '${types[0]}'`;
  }
  if (node.required !== undefined && !Array.isArray(node.required)) {
    return `${JSON.stringify(node.required)} is not of type 'array'\n\nOn schema:\n    ${JSON.stringify(node)}`;
  }
  const below = [node.items, ...members(node.properties), ...members(node.anyOf), ...members(node.$defs)];
  for (const each of below) {
    const fault = schemaFault(each);
    if (fault) return fault;
  }
  return null;
}

function members(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}
