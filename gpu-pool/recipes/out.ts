/** Output of a recipe's files: to stdout, or into a directory. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { RecipeFile } from './recipe-file.ts';

/** The files of one host. */
export interface HostBundle {
  /** The host's own directory within the output, `rank-0` for example; empty where there is one host only. */
  directory: string;
  files: RecipeFile[];
}

/** All files as one text, each after a line that names it. */
export function printBundles(bundles: readonly HostBundle[]): string {
  return bundles
    .flatMap(({ directory, files }) =>
      files.map(({ name, mode, text }) => {
        const path = join(directory, name);
        const secret = mode === 0o600 ? ' (secret)' : '';
        return `${`# ──── ${path}${secret} `.padEnd(100, '─')}\n${text}`;
      }),
    )
    .join('\n');
}

/** Nothing was written; the message is one sentence for the operator. */
export class WriteError extends Error {
  override readonly name = 'NotWritten';
}

/**
 * Writes all files, or none if one of them exists: it may hold keys in use and tokens that were filled in.
 * @returns their paths
 * @throws WriteError
 */
export async function writeBundles(bundles: readonly HostBundle[], out: string): Promise<string[]> {
  const files = bundles.flatMap(({ directory, files }) =>
    files.map(({ name, ...file }) => ({ path: join(out, directory, name), ...file })),
  );
  const existing = files.find(({ path }) => existsSync(path));
  if (existing)
    throw new WriteError(`${existing.path} already exists: choose another --out, or move the file away.`);
  try {
    for (const { path, mode, text } of files) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text, { mode, flag: 'wx' });
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new WriteError(`${out} cannot be written (${code}): choose another --out.`);
  }
  return files.map(({ path }) => path);
}
