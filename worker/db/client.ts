/** D1 behind drizzle. Each file beside this one holds the queries about one noun. */
import { drizzle } from 'drizzle-orm/d1';
import * as schema from './schema.ts';

export type Database = ReturnType<typeof open>;

/** drizzle reads the whole schema when it opens a database, so each binding is opened once. */
const opened = new WeakMap<D1Database, Database>();

export function database({ DB }: { readonly DB: D1Database }): Database {
  const known = opened.get(DB);
  if (known) return known;
  const fresh = open(DB);
  opened.set(DB, fresh);
  return fresh;
}

function open(binding: D1Database) {
  return drizzle(binding, { schema });
}
