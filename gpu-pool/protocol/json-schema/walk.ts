/** Schemas within schemas, by the keywords that hold them; never values of `const`, `enum`, `default` or `examples`. */
import { KEYWORDS, type Shape } from './keywords.ts';

export type Path = readonly (string | number)[];
export type SchemaObject = Readonly<Record<string, unknown>>;

export interface SubSchema {
  readonly schema: SchemaObject;
  readonly path: Path;
}

export function isObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The schema itself and every object schema below it, outermost first. */
export function* subSchemas(schema: unknown, path: Path = []): Generator<SubSchema> {
  if (!isObject(schema)) return;
  yield { schema, path };
  for (const [name, value] of Object.entries(schema)) {
    const shape = Object.hasOwn(KEYWORDS, name) ? KEYWORDS[name]!.value : 'any';
    for (const [below, step] of held(value, shape)) yield* subSchemas(below, [...path, name, ...step]);
  }
}

function held(value: unknown, shape: Shape): [unknown, Path][] {
  switch (shape) {
    case 'schema':
    case 'anything with a schema':
      return Array.isArray(value) ? value.map((each, index) => [each, [index]]) : [[value, []]];
    case 'schemas':
      return Array.isArray(value) ? value.map((each, index) => [each, [index]]) : [];
    case 'schemas by name':
    case 'schemas by pattern':
    case 'names or schemas by name':
      return isObject(value) ? Object.entries(value).map(([name, each]) => [each, [name]]) : [];
    default:
      return [];
  }
}
