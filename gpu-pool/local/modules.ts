/** The modules of the Worker's bundle in the order that workerd needs: the main module first, then the others. */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * @param script the result of `bundle` (edge.ts). @returns the paths of it and of all modules that were split from
 * it
 */
export function modulesOf(script: string): [string, ...string[]] {
  const root = dirname(script);
  const parts = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .map((name) => join(root, name))
    .filter((path) => path !== script);
  return [script, ...parts.sort()];
}
