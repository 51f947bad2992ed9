/** The Worker's bundle as workerd takes it: the first module is the program, the others are its parts. */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** @param script of `bundle` (edge.ts). @returns the paths of it and of all that was split from it */
export function modulesOf(script: string): [string, ...string[]] {
  const root = dirname(script);
  const parts = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .map((name) => join(root, name))
    .filter((path) => path !== script);
  return [script, ...parts.sort()];
}
