/**
 * What a client's own package says an answer looks like, as a check at run time: its `.d.ts` becomes a JSON schema.
 * So an upgrade of the package moves the check with it, and a field of ours that nobody declared is a fault.
 */
import { createRequire } from 'node:module';
import { Ajv, type ErrorObject } from 'ajv';
import { createGenerator, type SchemaGenerator } from 'ts-json-schema-generator';

export interface PublishedType {
  /** the module that declares it: `openai/resources/chat/completions/completions`, its file and no re-export */
  readonly package: string;
  /** `ChatCompletionChunk` */
  readonly type: string;
  /** our documented additions: type → further fields, `{ CompletionUsage: ['cost'] }` */
  readonly also?: Readonly<Record<string, readonly string[]>>;
}

/**
 * The faults of a value, a line each; none is the shape. Takes a second or two the first time that a module is asked
 * for, so make it once for each file.
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
  // what may be null is written `type: ['string', 'null']`
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

/** Without the members of a union that the value's own `type` rules out, which would hide the one that was meant. */
function readable(errors: readonly ErrorObject[]): string[] {
  const definitionOf = ({ schemaPath }: ErrorObject) => schemaPath.match(/^#\/definitions\/[^/]+/)?.[0] ?? '';
  const others = new Set(
    errors.filter(({ schemaPath }) => schemaPath.endsWith('/properties/type/const')).map(definitionOf),
  );
  const meant = errors.filter((error) => !others.has(definitionOf(error)));
  return (meant.length > 0 ? meant : errors).map(({ instancePath, message, params }) => {
    const detail = params.additionalProperty ?? params.allowedValue ?? params.allowedValues ?? '';
    return `${instancePath || '/'} ${message} ${detail}`.trimEnd();
  });
}
