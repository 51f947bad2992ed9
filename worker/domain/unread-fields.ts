/**
 * The fields of a request body that nothing reads, by name, so that a client can see what had no effect. The fields that are read are
 * taken from the schema that reads the body, down to nested objects, so that a new field needs no second list.
 */
import type * as z from 'zod';

/** The most names that are reported; one more stands for all others. */
const NAMES_MAX = 32;
const MORE = '...';
/** The longest name that is reported; the rest of a longer one is cut off. */
const NAME_LENGTH_MAX = 64;

/** The fields that a schema reads at one place of a body. */
interface Reads {
  /** Where it is, such as `messages[].content[].`; fields are named behind it. */
  readonly path: string;
  /** By field, what is read of its value; null: the whole value. Without `fields` anything is read. */
  readonly fields: ReadonlyMap<string, Reads | null> | null;
  /** The fields read of each item, where the value is an array. */
  readonly items: Reads | null;
  /** The fields read by the value of one of them, where the object differs by it. */
  readonly variants: { readonly key: string; readonly byValue: ReadonlyMap<unknown, Reads> } | null;
}

export interface ReadFields {
  readonly schema: z.ZodType;
  /** Fields of the body that the schema checks and nothing acts upon. */
  readonly unused?: readonly string[];
  /**
   * Values that ask for what happens anyway, by the field's path: a request loses nothing with them, so they are not named.
   * `any`: every value does. null, `[]` and `{}` ask for nothing in any field.
   */
  readonly alike: Readonly<Record<string, readonly unknown[] | 'any'>>;
}

/**
 * Makes the function that lists a body's unread fields: paths such as `logit_bias` or `messages[].audio`, each once, in
 * printable ASCII without commas, so that they may be joined in a header; never values.
 */
export function unreadFields({ schema, unused = [], alike }: ReadFields): (body: object) => string[] {
  let root: Reads | null = null;
  return (body) => {
    // The schema is walked with the first request, since an isolate should start quickly.
    root ??= without(readsOf(schema, ''), unused);
    const names = new Set<string>();
    collect(root, body, (path, value) => {
      const values = Object.hasOwn(alike, path) ? alike[path] : undefined;
      const isAlike = values === 'any' || values?.includes(value);
      if (names.size <= NAMES_MAX && !isAlike && !asksForNothing(value)) names.add(reported(path));
    });
    return bounded(names);
  };
}

/** The names of both lists, each once, within the bounds of one. */
export function joinNames(...lists: readonly (readonly string[])[]): readonly string[] {
  return lists.slice(1).every((list) => list.length === 0) ? lists[0]! : bounded(new Set(lists.flat()));
}

function bounded(names: ReadonlySet<string>): string[] {
  if (names.size <= NAMES_MAX) return [...names];
  return [...[...names].filter((name) => name !== MORE).slice(0, NAMES_MAX), MORE];
}

function reported(path: string): string {
  return path.slice(0, NAME_LENGTH_MAX).replace(/[^\x21-\x2b\x2d-\x7e]/g, '?');
}

function asksForNothing(value: unknown): boolean {
  if (value === null) return true;
  return typeof value === 'object' && Object.keys(value as object).length === 0;
}

function collect(reads: Reads, value: object, found: (path: string, value: unknown) => void): void {
  if (Array.isArray(value)) {
    if (reads.items === null) return;
    for (const item of value) if (isObject(item)) collect(reads.items, item, found);
    return;
  }
  const { variants } = reads;
  const own = variants?.byValue.get((value as Record<string, unknown>)[variants.key]) ?? reads;
  if (own.fields === null) return;
  for (const name in value) {
    const field = own.fields.get(name);
    const fieldValue = (value as Record<string, unknown>)[name];
    if (field === undefined) found(own.path + name, fieldValue);
    else if (field !== null && isObject(fieldValue)) collect(field, fieldValue, found);
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function without(reads: Reads, names: readonly string[]): Reads {
  const fields = new Map(reads.fields);
  for (const name of names) fields.delete(name);
  return { ...reads, fields };
}

type Definition = z.core.$ZodTypes['_zod']['def'];

/** @param path of the value, with what separates it from its fields' names */
function readsOf(schema: z.core.$ZodType, path: string): Reads {
  const definition = schema._zod.def as Definition;
  switch (definition.type) {
    case 'object': {
      const entries = Object.entries(definition.shape);
      const fields = new Map(
        entries.map(([name, field]) => [name, nullIfWhole(readsOf(field, `${path}${name}.`))]),
      );
      return { path, fields, items: null, variants: null };
    }
    case 'array': {
      const items = readsOf(definition.element, `${path.slice(0, -1)}[].`);
      return { ...anything(path), items: nullIfWhole(items) };
    }
    case 'union':
      return readsOfUnion(definition, path);
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'readonly':
    case 'catch':
    case 'nonoptional':
      return readsOf(definition.innerType, path);
    case 'pipe':
      // `z.preprocess` is a pipe whose first half is the function.
      return readsOf(isTransform(definition.in) ? definition.out : definition.in, path);
    default:
      return anything(path);
  }
}

function isTransform(schema: z.core.$ZodType): boolean {
  return (schema._zod.def as Definition).type === 'transform';
}

function anything(path: string): Reads {
  return { path, fields: null, items: null, variants: null };
}

/** null stands for a value of which everything is read. */
function nullIfWhole(reads: Reads): Reads | null {
  return reads.fields === null && reads.items === null ? null : reads;
}

/** A field that one option reads counts as read where the options cannot be told apart. */
function readsOfUnion(definition: z.core.$ZodUnionDef, path: string): Reads {
  const options = definition.options.map((option) => ({ option, reads: readsOf(option, path) }));
  const objects = options.flatMap(({ reads }) => (reads.fields ? [...reads.fields] : []));
  const fields = objects.length > 0 ? new Map(objects) : null;
  const items = options.find(({ reads }) => reads.items !== null)?.reads.items ?? null;
  const key = 'discriminator' in definition ? String(definition.discriminator) : null;
  if (key === null) return { path, fields, items, variants: null };
  const byValue = new Map(
    options.flatMap(({ option, reads }) =>
      [...(option._zod.propValues?.[key] ?? [])].map((value) => [value, reads] as const),
    ),
  );
  return { path, fields, items, variants: { key, byValue } };
}
