/**
 * Run-time checks from the types of a client package: its `.d.ts` is converted to a JSON schema. An upgrade of the package
 * updates the check, and an undeclared field of ours is a fault.
 */
import { createRequire } from 'node:module';
import { Ajv, type ErrorObject } from 'ajv';
import { createGenerator, type SchemaGenerator } from 'ts-json-schema-generator';

export interface PublishedType {
  /** The module that declares the type, not one that re-exports it: `openai/resources/chat/completions/completions`. */
  readonly package: string;
  /** Name of the type, such as `ChatCompletionChunk`. */
  readonly type: string;
  /** Our documented additions: the fields added to each type, such as `{ CompletionUsage: ['cost'] }`. */
  readonly also?: Readonly<Record<string, readonly string[]>>;
}

/**
 * Makes a check that returns a value's faults, one line each; none when it has the shape. The first call for a module takes
 * a second or two, so make the check once per file.
 * @throws Error when the module, the type or a type of `also` does not exist
 */
export function publishedShape({
  package: name,
  type,
  also = {},
}: PublishedType): (value: unknown) => string[] {
  const schema = structuredClone(generatorOf(name).createSchema(type)) as Schema;
  for (const [definition, fields] of Object.entries(also)) {
    const properties = schema.definitions[definition]?.properties;
    if (!properties) throw new Error(`${name} has no type ${definition} in ${type}`);
    for (const field of fields) properties[field] = {};
  }
  // The generator writes nullable types as `type: ['string', 'null']`.
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema);
  return (value) => (validate(value) ? [] : readable(validate.errors!));
}

interface Schema {
  readonly definitions: Record<string, { properties?: Record<string, object> }>;
}

const generators = new Map<string, SchemaGenerator>();

function generatorOf(name: string): SchemaGenerator {
  let generator = generators.get(name);
  if (!generator) {
    const path = createRequire(import.meta.url)
      .resolve(name)
      .replace(/\.m?js$/, '.d.ts');
    generator = createGenerator({ path, type: '*', skipTypeCheck: true, jsDoc: 'none', expose: 'all' });
    generators.set(name, generator);
  }
  return generator;
}

/**
 * Formats errors. It drops those of union members that the value's `type`
 * rules out, as they would hide the relevant ones.
 */
function readable(errors: readonly ErrorObject[]): string[] {
  const definitionOf = ({ schemaPath }: ErrorObject) => schemaPath.match(/^#\/definitions\/[^/]+/)?.[0] ?? '';
  const ruledOut = new Set(
    errors.filter(({ schemaPath }) => schemaPath.endsWith('/properties/type/const')).map(definitionOf),
  );
  const relevant = errors.filter((error) => !ruledOut.has(definitionOf(error)));
  return (relevant.length > 0 ? relevant : errors).map(({ instancePath, message, params }) => {
    const detail = params.additionalProperty ?? params.allowedValue ?? params.allowedValues ?? '';
    return `${instancePath || '/'} ${message} ${detail}`.trimEnd();
  });
}
