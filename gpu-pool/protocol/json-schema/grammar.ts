/**
 * Which schemas the engine cannot turn into the grammar of an answer. Two parts of it decide: SGLang refuses keywords that
 * would not be kept to (constrained/json_schema_validation.py), and xgrammar what contradicts itself or what it cannot read.
 * Where two versions differ, a schema that either refuses counts as refused, so that one that is taken stays taken.
 */
import { COUNT_MAX, grammarPatternFault } from './grammar-pattern.ts';
import { ARRAY_HINTS, EXCLUSIVE, FORMATS, KEYWORDS, OBJECT_HINTS, TYPES, typeOfAlias } from './keywords.ts';
import type { SchemaFault } from './shape.ts';
import { isObject, type Path, type SchemaObject, subSchemas } from './walk.ts';

interface Options {
  /** The schema is a tool's: its types may have other names. */
  readonly tool: boolean;
}

/** The first fault that keeps the schema from being a grammar; null: none. Its shape must have been checked. */
export function grammarFault(root: unknown, options: Options): SchemaFault | null {
  for (const { schema, path } of subSchemas(root)) {
    const fault = unsupported(schema, path, options);
    if (fault) return fault;
  }
  return new GrammarReader(root, options).read(root, []);
}

const LENGTHS = ['minLength', 'maxLength'];

function unsupported(schema: SchemaObject, path: Path, options: Options): SchemaFault | null {
  const names = Object.keys(schema);
  const refused = names.find((name) => Object.hasOwn(KEYWORDS, name) && KEYWORDS[name]!.effect === 'refused');
  if (refused !== undefined)
    return at(
      path,
      refused,
      'is not supported, because an answer could not be held to it. Leave it out, or say it in a `description`',
    );
  if (!canBeString(schema, options)) return null;
  if (schema.format !== undefined && !FORMATS.includes(schema.format as string))
    return at(path, 'format', `must be one of ${FORMATS.join(', ')}`);
  const [first, second] = [
    names.find((name) => name === 'format'),
    names.find((name) => name === 'pattern'),
    names.find((name) => LENGTHS.includes(name)),
  ].filter((name) => name !== undefined);
  return second === undefined
    ? null
    : at(path, second, `is not supported beside \`${first}\`. Keep one of the two`);
}

function canBeString({ type }: SchemaObject, { tool }: Options): boolean {
  if (type === undefined) return true;
  return typesOf(type, tool).includes('string');
}

function typesOf(type: unknown, tool: boolean): string[] {
  const written = Array.isArray(type) ? type : [type];
  return written.map((each) => (tool && typeof each === 'string' ? typeOfAlias(each) : String(each)));
}

function at(path: Path, name: string | number, message: string): SchemaFault {
  return { path: [...path, name], message };
}

/** Reads a schema as xgrammar does: only what an answer can reach, and of keywords that exclude each other only one. */
class GrammarReader {
  readonly #root: unknown;
  readonly #options: Options;
  readonly #seen = new Set<SchemaObject>();

  constructor(root: unknown, options: Options) {
    this.#root = root;
    this.#options = options;
  }

  read(schema: unknown, path: Path): SchemaFault | null {
    if (schema === false) return { path, message: 'must not be false, which no value fits' };
    if (!isObject(schema) || this.#seen.has(schema)) return null;
    this.#seen.add(schema);
    const exclusive = EXCLUSIVE.find((name) => schema[name] !== undefined);
    switch (exclusive) {
      case '$ref':
        return this.#reference(schema, path);
      case 'const':
        return null;
      case 'enum':
        return (schema.enum as unknown[]).length > 0 ? null : at(path, 'enum', 'must have a value');
      case undefined:
        return this.#typed(schema, path);
      default:
        return this.#each(schema[exclusive] as unknown[], [...path, exclusive]);
    }
  }

  #each(schemas: Iterable<unknown>, path: Path): SchemaFault | null {
    let index = 0;
    for (const schema of schemas) {
      const fault = this.read(schema, [...path, index++]);
      if (fault) return fault;
    }
    return null;
  }

  #eachNamed(schemas: unknown, path: Path): SchemaFault | null {
    for (const [name, schema] of Object.entries(isObject(schemas) ? schemas : {})) {
      const fault = this.read(schema, [...path, name]);
      if (fault) return fault;
    }
    return null;
  }

  #reference(schema: SchemaObject, path: Path): SchemaFault | null {
    const passed = new Set<unknown>();
    let target: unknown = schema;
    while (isObject(target) && typeof target.$ref === 'string') {
      if (passed.has(target)) return at(path, '$ref', 'is a circle of references without a schema');
      passed.add(target);
      // References to other documents and to anchors are ignored.
      if (target.$ref !== '#' && !target.$ref.startsWith('#/')) return null;
      target = this.#resolve(target.$ref);
      if (target === undefined)
        return at(
          path,
          '$ref',
          'refers to nothing in this schema. Names with “/”, “~” or “%” and places in arrays cannot be referred to',
        );
    }
    return isObject(target) || typeof target === 'boolean'
      ? this.read(target, path)
      : at(path, '$ref', 'must refer to a schema');
  }

  #resolve(ref: string): unknown {
    const steps = ref === '#' ? [] : ref.slice(2).split('/');
    return steps.reduce<unknown>(
      (node, step) => (isObject(node) && Object.hasOwn(node, step) ? node[step] : undefined),
      this.#root,
    );
  }

  #typed(schema: SchemaObject, path: Path): SchemaFault | null {
    for (const type of this.#typesRead(schema)) {
      if (!TYPES.includes(type)) return at(path, 'type', `must be one of ${TYPES.join(', ')}`);
      const fault = this.#ofType(type, schema, path);
      if (fault) return fault;
    }
    return null;
  }

  #typesRead(schema: SchemaObject): string[] {
    if (schema.type !== undefined) return typesOf(schema.type, this.#options.tool);
    if (OBJECT_HINTS.some((name) => schema[name] !== undefined)) return ['object'];
    return ARRAY_HINTS.some((name) => schema[name] !== undefined) ? ['array'] : [];
  }

  #ofType(type: string, schema: SchemaObject, path: Path): SchemaFault | null {
    switch (type) {
      case 'string':
        return stringFault(schema, path);
      case 'integer':
        return integerFault(schema, path);
      case 'number':
        return numberFault(schema, path);
      case 'array':
        return this.#array(schema, path);
      case 'object':
        return this.#object(schema, path);
      default:
        return null;
    }
  }

  #array(schema: SchemaObject, path: Path): SchemaFault | null {
    const { prefixItems = [], minItems = 0, maxItems } = schema as { [name: string]: unknown };
    const prefix = prefixItems as unknown[];
    const rest = ['items', 'unevaluatedItems'].find((name) => schema[name] !== undefined);
    const isClosed = rest === undefined || schema[rest] === false;
    if ((minItems as number) > COUNT_MAX) return at(path, 'minItems', `must be at most ${COUNT_MAX}`);
    if (maxItems !== undefined && (maxItems as number) < (minItems as number))
      return at(path, 'maxItems', 'must not be below `minItems`');
    if (maxItems !== undefined && (maxItems as number) < prefix.length)
      return at(path, 'maxItems', 'must not be below the number of `prefixItems`');
    if (isClosed && (minItems as number) > prefix.length)
      return at(path, 'minItems', 'asks for more items than the schema allows. Say in `items` what they are');
    return (
      this.#each(prefix, [...path, 'prefixItems']) ??
      (isClosed ? null : this.read(schema[rest!], [...path, rest!]))
    );
  }

  #object(schema: SchemaObject, path: Path): SchemaFault | null {
    return (
      propertyCountFault(schema, path) ??
      this.#eachNamed(schema.properties, [...path, 'properties']) ??
      this.#patternProperties(schema, path) ??
      this.#propertyNames(schema, path) ??
      this.#otherProperties(schema, path)
    );
  }

  #patternProperties(schema: SchemaObject, path: Path): SchemaFault | null {
    for (const pattern of Object.keys((schema.patternProperties as object | undefined) ?? {})) {
      const fault = grammarPatternFault(pattern);
      if (fault) return at([...path, 'patternProperties'], pattern, patternMessage(fault));
    }
    return this.#eachNamed(schema.patternProperties, [...path, 'patternProperties']);
  }

  #propertyNames(schema: SchemaObject, path: Path): SchemaFault | null {
    const names = schema.propertyNames;
    // Beside these, names are not looked at.
    if (names === undefined || schema.patternProperties !== undefined) return null;
    if (!isObject(names) || !this.#canBeName(names))
      return at(path, 'propertyNames', 'must be an object, a schema of strings');
    const exclusive = EXCLUSIVE.some((name) => names[name] !== undefined);
    return exclusive
      ? this.read(names, [...path, 'propertyNames'])
      : stringFault(names, [...path, 'propertyNames']);
  }

  #canBeName(names: SchemaObject): boolean {
    const types = this.#typesRead(names);
    return types.length === 0 || types.includes('string');
  }

  #otherProperties(schema: SchemaObject, path: Path): SchemaFault | null {
    const rest = ['additionalProperties', 'unevaluatedProperties'].find((name) => schema[name] !== undefined);
    return rest === undefined || schema[rest] === false ? null : this.read(schema[rest], [...path, rest]);
  }
}

function propertyCountFault(schema: SchemaObject, path: Path): SchemaFault | null {
  const least = (schema.minProperties as number | undefined) ?? 0;
  const most = (schema.maxProperties as number | undefined) ?? Number.POSITIVE_INFINITY;
  const names = Object.keys((schema.properties as object | undefined) ?? {});
  const required = ((schema.required as string[] | undefined) ?? []).length;
  if (most < least) return at(path, 'maxProperties', 'must not be below `minProperties`');
  if (most < required)
    return at(path, 'maxProperties', 'must not be below the number of `required` properties');
  const rest = schema.additionalProperties ?? schema.unevaluatedProperties ?? false;
  const isClosed =
    rest === false && schema.patternProperties === undefined && schema.propertyNames === undefined;
  return isClosed && least > names.length
    ? at(
        path,
        'minProperties',
        'asks for more properties than the schema allows. Set `additionalProperties`, which is false here unless it is said',
      )
    : null;
}

function stringFault(schema: SchemaObject, path: Path): SchemaFault | null {
  if (typeof schema.pattern === 'string') {
    const fault = grammarPatternFault(schema.pattern);
    if (fault) return at(path, 'pattern', patternMessage(fault));
  }
  const { minLength = 0, maxLength } = schema as { minLength?: number; maxLength?: number };
  for (const name of LENGTHS)
    if (((schema[name] as number | undefined) ?? 0) > COUNT_MAX)
      return at(path, name, `must be at most ${COUNT_MAX}`);
  return maxLength !== undefined && maxLength < minLength
    ? at(path, 'maxLength', 'must not be below `minLength`')
    : null;
}

function patternMessage(fault: string): string {
  return `is not a pattern that the engine can hold an answer to, because ${fault}`;
}

const BOUNDS = ['minimum', 'exclusiveMinimum', 'maximum', 'exclusiveMaximum'];
/** The grammar keeps bounds as 64-bit integers; JSON's numbers are exact up to 2^53 only, and the next to its end is this. */
const INTEGER_END = 2 ** 63;

function integerFault(schema: SchemaObject, path: Path): SchemaFault | null {
  for (const name of BOUNDS) {
    const bound = schema[name] as number | undefined;
    if (bound === undefined) continue;
    if (!Number.isInteger(bound)) return at(path, name, 'must be a whole number, as the type is integer');
    if (Math.abs(bound) >= INTEGER_END) return at(path, name, 'must be within 64 bits');
  }
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = bounds(schema);
  return Math.max(minimum, exclusiveMinimum + 1) > Math.min(maximum, exclusiveMaximum - 1)
    ? emptyRange(schema, path)
    : null;
}

function numberFault(schema: SchemaObject, path: Path): SchemaFault | null {
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = bounds(schema);
  const least = Math.max(minimum, exclusiveMinimum);
  const most = Math.min(maximum, exclusiveMaximum);
  const meets = least === most && (exclusiveMinimum === least || exclusiveMaximum === most);
  return least > most || (meets && Number.isFinite(least)) ? emptyRange(schema, path) : null;
}

function bounds(schema: SchemaObject) {
  const {
    minimum = Number.NEGATIVE_INFINITY,
    exclusiveMinimum = Number.NEGATIVE_INFINITY,
    maximum = Number.POSITIVE_INFINITY,
    exclusiveMaximum = Number.POSITIVE_INFINITY,
  } = schema as Record<string, number | undefined>;
  return { minimum, exclusiveMinimum, maximum, exclusiveMaximum };
}

function emptyRange(schema: SchemaObject, path: Path): SchemaFault {
  const name = BOUNDS.findLast((each) => schema[each] !== undefined)!;
  return at(path, name, 'leaves no number: the lower bound is above the upper one');
}
