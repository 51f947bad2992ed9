/**
 * A body in which null means absent at every depth. Clients write null for what they leave out: SDKs with typed models do
 * so for every field. Only fields that the schema reads one by one are concerned; what is the client's own, such as tool
 * arguments, JSON Schemas and metadata, keeps its nulls.
 */
import type * as z from 'zod';
import { type Reads, readsOf } from './schema-reads.ts';

/** Makes the function that leaves null fields out. It copies what it changes. */
export function withoutNulls(schema: z.ZodType): (body: Record<string, unknown>) => Record<string, unknown> {
  let reads: Reads | null = null;
  return (body) => {
    // The schema is walked with the first request, since an isolate should start quickly.
    reads ??= readsOf(schema, '');
    return stripped(reads, body) as Record<string, unknown>;
  };
}

function stripped(reads: Reads, value: object): object {
  if (Array.isArray(value)) return reads.items === null ? value : strippedItems(reads.items, value);
  const { variants } = reads;
  const fields = (variants?.byValue.get((value as Record<string, unknown>)[variants.key]) ?? reads).fields;
  if (fields === null) return value;
  let copy: Record<string, unknown> | null = null;
  for (const name in value) {
    const field = fields.get(name);
    if (field === undefined) continue;
    const own = (value as Record<string, unknown>)[name];
    const next = field !== null && typeof own === 'object' && own !== null ? stripped(field, own) : own;
    if (next === own && next !== null) continue;
    copy ??= { ...value };
    if (next === null) delete copy[name];
    else copy[name] = next;
  }
  return copy ?? value;
}

function strippedItems(items: Reads, list: readonly unknown[]): readonly unknown[] {
  let copy: unknown[] | null = null;
  for (const [index, item] of list.entries()) {
    if (typeof item !== 'object' || item === null) continue;
    const next = stripped(items, item);
    if (next === item) continue;
    copy ??= [...list];
    copy[index] = next;
  }
  return copy ?? list;
}
