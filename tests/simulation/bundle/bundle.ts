/**
 * Bundles the Worker's own code as one function whose globals are the simulation's and whose module state each isolate
 * has for itself. Edits can remove guards from the source, to prove that the laws notice.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { compileFunction } from 'node:vm';
import { build, type Plugin } from 'esbuild';
import type { SimRequest, SimResponse } from '../platform/http.ts';
import { withStateMovedOut } from './module-state.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** A change of the source, such as a guard removed. `find` must be in the file exactly once. */
export interface Edit {
  /** The path from the project's root. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** The exports of the bundle (entry.js). */
export interface Edge {
  readonly app: {
    fetch(request: SimRequest, env: object, context: object): SimResponse | Promise<SimResponse>;
  };
  readonly portal: PortalActions;
  readonly Wallet: DurableClass;
  readonly Pool: DurableClass;
}

/** The actions of a customer in the portal. */
export interface PortalActions {
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

/** The names that the bundle receives as parameters in place of an isolate's globals. */
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
  'IdentityTransformStream',
  'ReadableStream',
  'CompressionStream',
  'DecompressionStream',
  'WebSocketRequestResponsePair',
  'Blob',
  'AbortController',
  'AbortSignal',
  'console',
] as const;
export type Globals = Record<(typeof GLOBALS)[number], unknown> & { readonly STATE_INITS: (() => void)[] };

/** @returns the text of the bundle. @throws Error when an edit's `find` is not in its file exactly once */
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
    // looking up a property of a wrapped Date or Math would cost more than the call itself
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
            throw new Error(`${file} contains ${parts.length - 1} times what is to be edited: ${edit.find}`);
          source = parts.join(edit.replace);
          used.add(edit);
        }
        const loader = path.endsWith('x') ? 'tsx' : 'ts';
        const movedOut = await withStateMovedOut(file, source, loader);
        return movedOut === null ? { contents: source, loader } : { contents: movedOut, loader: 'js' };
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
