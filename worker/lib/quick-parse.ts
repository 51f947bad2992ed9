/**
 * Parsing by a zod schema at a fraction of zod's time, for bodies that come with every request. Where code may be generated
 * at run time zod compiles a schema; Workers forbid that, so zod then visits every field that a schema knows, present or not,
 * through several calls each. Here a schema is compiled once into closures, which visit what a body has. They only ever
 * accept: whatever they do not, zod parses, and words the error.
 *
 * The schema stays the one truth: structure is read from its definition, and the checks, transforms and kinds of schema that
 * are not listed here are zod's own. A property test holds both to the same results (tests/domain/quick-parse.test.ts).
 */
import type * as z from 'zod';

type Schema = z.core.$ZodType;
type Definition = z.core.$ZodTypes['_zod']['def'];
/** Returns the parsed value, or `REFUSED`. */
type Read = (value: unknown) => unknown;

const REFUSED = Symbol('refused');
const SYNCHRONOUS = { async: false } as const;

const compiled = new WeakMap<Schema, Read>();

/** The same result as `schema.safeParse(value)`. Parts of the value that no schema changes may be shared with it. */
export function quickParse<Output>(schema: z.ZodType<Output>, value: unknown): z.ZodSafeParseResult<Output> {
  let read = compiled.get(schema);
  if (read === undefined) {
    read = compile(schema);
    compiled.set(schema, read);
  }
  const data = read(value);
  return data === REFUSED ? schema.safeParse(value) : { success: true, data: data as Output };
}

function compile(schema: Schema): Read {
  const read = structureOf(schema);
  if (read === null) return byZod(schema);
  // A format such as `z.int()` is a schema and its own first check, as zod has it.
  const own = schema._zod.traits.has('$ZodCheck') ? [schema as unknown as z.core.$ZodCheck] : [];
  const checks = [...own, ...(schema._zod.def.checks ?? [])];
  return checks.length === 0 ? read : checked(read, checks);
}

/** The schema without its checks; null: of a kind that zod reads itself. */
function structureOf(schema: Schema): Read | null {
  const definition = schema._zod.def as Definition;
  if ('coerce' in definition && definition.coerce) return null;
  switch (definition.type) {
    case 'string':
      return (value) => (typeof value === 'string' ? value : REFUSED);
    case 'number':
      return (value) => (typeof value === 'number' && Number.isFinite(value) ? value : REFUSED);
    case 'boolean':
      return (value) => (typeof value === 'boolean' ? value : REFUSED);
    case 'unknown':
      return (value) => value;
    case 'literal':
    case 'enum': {
      const values = schema._zod.values!;
      return (value) => (values.has(value as z.core.util.Primitive) ? value : REFUSED);
    }
    case 'array':
      return arrayReader(compile(definition.element));
    case 'object':
      return definition.catchall === undefined ? objectReader(definition.shape) : null;
    case 'optional': {
      if (definition.innerType._zod.optin === 'defaulted') return null;
      const read = compile(definition.innerType);
      return (value) => (value === undefined ? value : read(value));
    }
    case 'nullable': {
      const read = compile(definition.innerType);
      return (value) => (value === null ? value : read(value));
    }
    case 'record':
      return recordReader(schema, definition);
    case 'union':
      return unionReader(definition);
    case 'pipe': {
      const first = compile(definition.in);
      const second = compile(definition.out);
      return (value) => {
        const between = first(value);
        return between === REFUSED ? REFUSED : second(between);
      };
    }
    default:
      return null;
  }
}

function byZod(schema: Schema): Read {
  return (value) => acceptedOf(schema._zod.run({ value, issues: [] }, SYNCHRONOUS));
}

/** The same without the schema's checks. */
function structureByZod(schema: Schema): Read {
  return (value) => acceptedOf(schema._zod.parse({ value, issues: [] }, SYNCHRONOUS));
}

function acceptedOf(result: z.core.util.MaybeAsync<z.core.ParsePayload>): unknown {
  return result instanceof Promise || result.issues.length > 0 ? REFUSED : result.value;
}

function checked(read: Read, checks: readonly z.core.$ZodCheck[]): Read {
  return (input) => {
    const value = read(input);
    if (value === REFUSED) return REFUSED;
    const payload = { value: value as never, issues: [] };
    for (const check of checks) {
      if (check._zod.def.when?.(payload) === false) continue;
      if (check._zod.check(payload) instanceof Promise || payload.issues.length > 0) return REFUSED;
    }
    return payload.value;
  };
}

function arrayReader(read: Read): Read {
  return (value) => {
    if (!Array.isArray(value)) return REFUSED;
    const items: unknown[] = [];
    for (const each of value) {
      const item = read(each);
      if (item === REFUSED) return REFUSED;
      items.push(item);
    }
    return items;
  };
}

interface Field {
  readonly name: string;
  readonly read: Read;
  readonly isRequired: boolean;
  /** Absent, it is read all the same, since its schema may put a value in its place. */
  readonly isReadAbsent: boolean;
  readonly isOptional: boolean;
  readonly hasDefault: boolean;
}

function fieldOf(name: string, schema: Schema): Field {
  const { optin, optout } = schema._zod;
  const isOptional = optout === 'optional';
  return {
    name,
    read: compile(schema),
    isRequired: optin === undefined,
    isReadAbsent: optin === 'defaulted' || !isOptional,
    isOptional,
    hasDefault: optin === 'defaulted',
  };
}

function objectReader(shape: Readonly<Record<string, Schema>>): Read {
  const fields = Object.entries(shape).map(([name, schema]) => fieldOf(name, schema));
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return REFUSED;
    const given = value as Record<string, unknown>;
    const result: Record<string, unknown> = {};
    for (const field of fields) {
      const { name } = field;
      const own = given[name];
      if (own === undefined && !(name in given)) {
        if (field.isRequired || !addAbsent(result, field)) return REFUSED;
        continue;
      }
      const parsed = field.read(own);
      if (parsed === REFUSED) return REFUSED;
      result[name] = parsed;
    }
    return result;
  };
}

/** Adds what a schema puts in the place of an absent field, if anything. @returns whether it does without the field */
function addAbsent(result: Record<string, unknown>, field: Field): boolean {
  if (!field.isReadAbsent) return true;
  const parsed = field.read(undefined);
  if (parsed === REFUSED) return field.isOptional;
  if (parsed !== undefined || (field.hasDefault && !field.isOptional)) result[field.name] = parsed;
  return true;
}

/** A record of anything is the value itself. */
function recordReader(schema: Schema, { keyType, valueType }: z.core.$ZodRecordDef): Read | null {
  const isAnyKey = keyType._zod.def.type === 'string' && !keyType._zod.def.checks?.length;
  if (!isAnyKey || keyType._zod.traits.has('$ZodCheck') || valueType._zod.def.type !== 'unknown') return null;
  const whole = structureByZod(schema);
  return (value) => {
    const isPlain =
      typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
    // zod leaves out a key of this name
    return isPlain && !Object.hasOwn(value, '__proto__') ? value : whole(value);
  };
}

function unionReader(definition: z.core.$ZodUnionDef): Read | null {
  if (!('discriminator' in definition)) {
    const options = definition.options.map(compile);
    return (value) => {
      for (const read of options) {
        const parsed = read(value);
        if (parsed !== REFUSED) return parsed;
      }
      return REFUSED;
    };
  }
  const { discriminator, unionFallback, options } = definition as z.core.$ZodDiscriminatedUnionDef;
  if (unionFallback) return null;
  const byValue = new Map<unknown, Read>();
  for (const option of options) {
    const read = compile(option);
    for (const value of option._zod.propValues?.[discriminator] ?? []) {
      // zod takes no option for a value of several
      byValue.set(value, byValue.has(value) ? () => REFUSED : read);
    }
  }
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return REFUSED;
    const read = byValue.get((value as Record<string, unknown>)[discriminator]);
    return read === undefined ? REFUSED : read(value);
  };
}
