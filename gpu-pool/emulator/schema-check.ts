/** The schemas that SGLang refuses, with messages that quote them as its own do. */
import { type SchemaFault, schemaFault } from '../protocol/json-schema/index.ts';
import { isObject } from '../protocol/json-schema/walk.ts';

/** The refusal of a tool's parameters (serving_chat.py, `Draft202012Validator.check_schema`); null: it takes them. */
export function parametersFault(schema: unknown): string | null {
  const fault = schemaFault(schema, 'tool');
  if (fault === null) return null;
  const value = reached(schema, fault);
  const holder = reached(schema, { ...fault, path: fault.path.slice(0, -1) });
  const name = fault.path.at(-1);
  return name === 'type'
    ? `'${value}' is not valid under any of the given schemas\n\nOn schema['type']:\n    '${value}'`
    : `${JSON.stringify(value)} is not valid: ${fault.message}\n\nOn schema:\n    ${JSON.stringify(holder)}`;
}

/** The refusal of an answer's format (constrained/json_schema_validation.py and xgrammar itself); null: it makes a grammar. */
export function formatFault(schema: unknown): string | null {
  const fault = schemaFault(schema, 'format');
  return fault === null
    ? null
    : `JSON Schema at #/${fault.path.join('/')} is not supported by xgrammar: ${JSON.stringify(reached(schema, fault))}`;
}

function reached(schema: unknown, { path }: SchemaFault): unknown {
  return path.reduce<unknown>(
    (node, step) =>
      Array.isArray(node) ? node[Number(step)] : isObject(node) ? node[String(step)] : undefined,
    schema,
  );
}
