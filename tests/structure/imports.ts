/** The import graph of the sources, read from the files that git knows. Imports of types count like those of values. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

export interface Import {
  /** Paths from the project's root. */
  readonly from: string;
  readonly to: string;
}

const RELATIVE_IMPORT = /(?:\bfrom\s+|\bimport\s*\(\s*|\bimport\s+)(['"])(\.[^'"]+)\1/g;

/** Every file of the project: tracked ones, and new ones that are not ignored. */
export function projectFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return listed.split('\n').filter((path) => path !== '' && existsSync(join(ROOT, path)));
}

/** The specifiers of a file's relative imports, static and dynamic. */
export function relativeImports(text: string): string[] {
  return [...text.matchAll(RELATIVE_IMPORT)].map(([, , specifier]) => specifier!);
}

/** Relative imports between the TypeScript files of `worker/` and `gpu-pool/`. */
export function sourceImports(): Import[] {
  const sources = projectFiles().filter((path) => /^(worker|gpu-pool)\/.*\.tsx?$/.test(path));
  const known = new Set(sources);
  return sources.flatMap((from) => {
    const text = readFileSync(join(ROOT, from), 'utf8');
    const targets = relativeImports(text).map((specifier) => join(dirname(from), specifier));
    return targets.filter((to) => known.has(to)).map((to) => ({ from, to }));
  });
}
