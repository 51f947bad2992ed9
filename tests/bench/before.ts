/**
 * An earlier revision of this repository, so that one run measures before and after: its tree without history, with the
 * packages of this one.
 */
import { mkdirSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { run } from '../../gpu-pool/local/process.ts';

export interface Before {
  /** Its production bundle. @returns the path of the main module; the others are beside it */
  bundle(): Promise<string>;
  /** Fills a folder with its databases, empty and migrated (`migrate` in gpu-pool/local/edge.ts). */
  migrate(dir: string): Promise<void>;
  /** Its way to start an agent (gpu-pool/local/node.ts). */
  readonly startAgent: typeof import('../../gpu-pool/local/node.ts').startAgentProcess;
}

/** @param dir a folder for its tree, which does not exist. @param revision as git names them */
export async function revisionIn(dir: string, revision: string): Promise<Before> {
  const root = resolve(dir);
  mkdirSync(root, { recursive: true });
  const archive = join(root, 'tree.tar');
  await run('git', ['archive', '--output', archive, revision]);
  await run('tar', ['-xf', archive, '-C', root]);
  symlinkSync(resolve('node_modules'), join(root, 'node_modules'));
  const module = (path: string) => JSON.stringify(pathToFileURL(join(root, path)).href);
  // wrangler takes the wrangler.toml of the folder it runs in, so these calls have a process of their own.
  const inEdge = async (call: 'bundle' | 'migrate', folder: string) => {
    const script = [
      `process.chdir(${JSON.stringify(root)});`,
      `const edge = await import(${module('gpu-pool/local/edge.ts')});`,
      `await edge.${call}(${JSON.stringify(resolve(folder))});`,
    ];
    await run(process.execPath, ['--input-type=module', '--eval', script.join('\n')]);
  };
  const { startAgentProcess } = await import(pathToFileURL(join(root, 'gpu-pool/local/node.ts')).href);
  return {
    bundle: async () => {
      await inEdge('bundle', root);
      return join(root, 'bundle', 'index.js');
    },
    migrate: (folder) => inEdge('migrate', folder),
    startAgent: startAgentProcess,
  };
}
