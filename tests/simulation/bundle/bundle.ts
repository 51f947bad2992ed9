/**
 * The Worker's own code as one function, with globals that are the simulation's and module state that each isolate has
 * for itself. Guards can be taken out of the source on the way, to see that the laws notice.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { compileFunction } from 'node:vm';
import { build, type Plugin } from 'esbuild';
import type { SimRequest, SimResponse } from '../platform/http.ts';
import { withStateOutside } from './module-state.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** A guard taken out: `find` must be in the file exactly once. */
export interface Edit {
  /** path from the root of the project */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Edge {
  readonly app: {
    fetch(request: SimRequest, env: object, context: object): SimResponse | Promise<SimResponse>;
  };
  readonly desk: Desk;
  readonly Wallet: DurableClass;
  readonly Pool: DurableClass;
}

export interface Desk {
  createKey(
    env: object,
    request: { accountId: string; name: string; nowMs: number; [limit: string]: unknown },
  ): Promise<{ key: string; row: { id: string } }>;
  beginTopUp(
    env: object,
    request: { accountId: string; amountNanoUsd: number; nowMs: number },
  ): Promise<{ ok: boolean; redirectUrl: string }>;
}

export interface DurableInstance {
  alarm?(): Promise<void>;
  [method: string]: unknown;
}
export type DurableClass = new (state: object, env: object) => DurableInstance;

/** What the bundle finds in place of the globals of its isolate. */
export const GLOBALS = [
  'CURRENT',
  'STATE_INITS',
  'globalThis',
  'Date',
  'dateNow',
  'mathRandom',
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'scheduler',
  'crypto',
  'caches',
  'fetch',
  'Headers',
  'Request',
  'Response',
  'ReadableStream',
  'CompressionStream',
  'DecompressionStream',
  'Blob',
  'AbortController',
  'AbortSignal',
  'console',
] as const;
export type Globals = Record<(typeof GLOBALS)[number], unknown> & { readonly STATE_INITS: (() => void)[] };

/** @returns the text of the bundle. @throws Error when an edit does not find its place exactly once */
export async function bundleEdge(edits: readonly Edit[] = []): Promise<string> {
  const used = new Set<Edit>();
  const result = await build({
    entryPoints: [join(import.meta.dirname, 'entry.js')],
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    format: 'cjs',
    platform: 'neutral',
    target: 'es2024',
    mainFields: ['module', 'main'],
    conditions: ['worker', 'import'],
    external: ['node:*'],
    alias: {
      'cloudflare:workers': join(import.meta.dirname, 'cloudflare-workers.js'),
      stripe: join(import.meta.dirname, 'stripe.js'),
    },
    jsx: 'automatic',
    jsxImportSource: 'hono/jsx',
    // a property of a wrapped Date or Math would be slower than the call itself
    define: { 'Date.now': 'dateNow', 'Math.random': 'mathRandom' },
    logLevel: 'silent',
    plugins: [ownCode(edits, used)],
  });
  for (const edit of edits)
    if (!used.has(edit)) throw new Error(`${edit.file} is not part of the bundle: ${edit.find}`);
  return result.outputFiles[0]!.text;
}

function ownCode(edits: readonly Edit[], used: Set<Edit>): Plugin {
  return {
    name: 'own code',
    setup(build) {
      build.onLoad({ filter: /[\\/](worker|gpu-pool)[\\/][^:]*\.tsx?$/ }, async ({ path }) => {
        const file = relative(ROOT, path);
        let source = await readFile(path, 'utf8');
        for (const edit of edits.filter((each) => each.file === file)) {
          const parts = source.split(edit.find);
          if (parts.length !== 2)
            throw new Error(`${file} has ${parts.length - 1} of what is to be edited: ${edit.find}`);
          source = parts.join(edit.replace);
          used.add(edit);
        }
        const loader = path.endsWith('x') ? 'tsx' : 'ts';
        const outside = await withStateOutside(file, source, loader);
        return outside === null ? { contents: source, loader } : { contents: outside, loader: 'js' };
      });
    },
  };
}

export function compileEdge(text: string): (globals: Globals) => Edge {
  const parameters = ['module', 'exports', 'require', ...GLOBALS];
  const evaluate = compileFunction(text, parameters, { filename: 'simulated-edge.cjs' });
  const require = createRequire(import.meta.url);
  return (globals) => {
    const module = { exports: {} };
    evaluate(module, module.exports, require, ...GLOBALS.map((name) => globals[name]));
    return module.exports as Edge;
  };
}
