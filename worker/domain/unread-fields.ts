/**
 * The fields of a request body that nothing reads, by name, so that a client can see what had no effect. The fields that are read are
 * taken from the schema that reads the body, down to nested objects, so that a new field needs no second list.
 */
import type * as z from 'zod';
import { type Reads, readsOf } from './schema-reads.ts';

/** The most names that are reported; one more stands for all others. */
export const NAMES_MAX = 32;
const MORE = '...';
/** The longest name that is reported; the rest of a longer one is cut off. */
const NAME_LENGTH_MAX = 64;

export type Alike = readonly unknown[] | 'any' | 'none';

export interface ReadFields {
  readonly schema: z.ZodType;
  /** Fields of the body that the schema checks and nothing acts upon. */
  readonly unused?: readonly string[];
  /**
   * Values that ask for what happens anyway, by the field's path: a request loses nothing with them, so they are not named.
   * `any`: every value does. null, `[]` and `{}` ask for nothing in any field but one of `none`, where only null does.
   */
  readonly alike: Readonly<Record<string, Alike>>;
}

/**
 * Makes the function that lists a body's unread fields: paths such as `prediction` or `messages[].audio`, each once, in
 * printable ASCII without commas, so that they may be joined in a header; never values.
 */
export function unreadFields({ schema, unused = [], alike }: ReadFields): (body: object) => string[] {
  let root: Reads | null = null;
  return (body) => {
    // The schema is walked with the first request, since an isolate should start quickly.
    root ??= without(readsOf(schema, ''), unused);
    const names = new Set<string>();
    collect(root, body, (path, value) => {
      const values = (Object.hasOwn(alike, path) ? alike[path] : undefined) ?? [];
      if (names.size <= NAMES_MAX && !isAlike(values, value)) names.add(reportedName(path));
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

/** The path of a field, or a type that a client wrote, as it may be joined with others in a header. */
export function reportedName(path: string): string {
  return path.slice(0, NAME_LENGTH_MAX).replace(/[^\x21-\x2b\x2d-\x7e]/g, '?');
}

function isAlike(values: Alike, value: unknown): boolean {
  if (value === null || values === 'any') return true;
  return values !== 'none' && (asksForNothing(value) || values.some((one) => isSame(one, value)));
}

function isSame(one: unknown, value: unknown): boolean {
  return one === value || (Array.isArray(one) && JSON.stringify(one) === JSON.stringify(value));
}

function asksForNothing(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0;
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
