/**
 * The fields that a zod schema reads at each place of a body, down to nested objects, so that nothing about them needs a
 * second list: which fields have no effect (unread-fields.ts), and where null means absent (without-nulls.ts).
 */
import type * as z from 'zod';

/** The fields that a schema reads at one place of a body. */
export interface Reads {
  /** Where it is, such as `messages[].content[].`; fields are named behind it. */
  readonly path: string;
  /** By field, what is read of its value; null: the whole value. Without `fields` anything is read. */
  readonly fields: ReadonlyMap<string, Reads | null> | null;
  /** The fields read of each item, where the value is an array. */
  readonly items: Reads | null;
  /** The fields read by the value of one of them, where the object differs by it. */
  readonly variants: { readonly key: string; readonly byValue: ReadonlyMap<unknown, Reads> } | null;
}

/** The values of `type` by which a union of objects tells them apart, or the one of an object. */
export function typesOf(schema: z.core.$ZodType): ReadonlySet<unknown> {
  return schema._zod.propValues?.type ?? new Set();
}

type Definition = z.core.$ZodTypes['_zod']['def'];

/** @param path of the value, with what separates it from its fields' names */
export function readsOf(schema: z.core.$ZodType, path: string): Reads {
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
