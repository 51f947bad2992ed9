/** D1 behind drizzle. One query file a noun stands beside this one. */
import { drizzle } from 'drizzle-orm/d1';
import type { Env } from '../env.ts';
import * as schema from './schema.ts';

export type Database = ReturnType<typeof database>;

export function database(env: Pick<Env, 'DB'>) {
  return drizzle(env.DB, { schema });
}
