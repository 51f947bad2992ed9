/**
 * The layers of the code, lowest first. A module (a folder, or a file directly in `worker/`) imports only from lower
 * layers, so a change to it cannot affect the layers below. Biome's noImportCycles forbids circles between files.
 */
import { describe, expect, it } from 'vitest';
import { type Import, sourceImports } from './imports.ts';

const LAYERS: readonly (readonly string[])[] = [
  ['worker/lib', 'worker/examples', 'gpu-pool/protocol', 'gpu-pool/answers'],
  ['worker/domain', 'worker/tokens'],
  ['worker/env.ts', 'worker/i18n', 'worker/db'],
  ['worker/rate-limits', 'worker/archive', 'worker/response-store'],
  ['worker/wallet', 'worker/http', 'worker/notifications'],
  ['worker/gateway', 'worker/billing', 'worker/identity'],
  ['worker/fleet', 'worker/batches'],
  ['worker/api', 'worker/operator', 'worker/portal', 'worker/queue.ts', 'worker/retention'],
  ['worker/index.ts'],
];

/** Each module of the GPU pool, with the other modules that it may import. */
const GPU_POOL: Readonly<Record<string, readonly string[]>> = {
  'gpu-pool/protocol': [],
  'gpu-pool/answers': ['gpu-pool/protocol'],
  'gpu-pool/agent': ['gpu-pool/protocol', 'gpu-pool/answers'],
  'gpu-pool/emulator': ['gpu-pool/protocol'],
  'gpu-pool/recipes': ['gpu-pool/protocol', 'gpu-pool/agent'],
  'gpu-pool/simulator': ['gpu-pool/protocol', 'gpu-pool/emulator', 'worker/domain'],
  'gpu-pool/local': ['gpu-pool/protocol', 'worker/domain'],
};

const layerOf = new Map(
  LAYERS.flatMap((modules, layer) => modules.map((module) => [module, layer] as const)),
);
const imports = sourceImports();
const betweenModules = imports.filter(({ from, to }) => moduleOf(from) !== moduleOf(to));

describe('layers', () => {
  it('include every module', () => {
    const modules = new Set(imports.flatMap(({ from, to }) => [moduleOf(from), moduleOf(to)]));
    const unknown = [...modules].filter((module) => !layerOf.has(module) && GPU_POOL[module] === undefined);
    expect(unknown, 'add the module to LAYERS, or move its files into a module that is listed').toEqual([]);
    const empty = [...layerOf.keys(), ...Object.keys(GPU_POOL)].filter((module) => !modules.has(module));
    expect(empty, 'no file of these modules imports or is imported').toEqual([]);
  });

  it('let the Worker import from lower layers only', () => {
    const wrong = betweenModules.filter(({ from, to }) => {
      const layer = layerOf.get(moduleOf(from));
      return from.startsWith('worker/') && layer! <= (layerOf.get(moduleOf(to)) ?? Number.POSITIVE_INFINITY);
    });
    expect(wrong.map(arrow)).toEqual([]);
  });

  it('let the GPU pool import the protocol and little else', () => {
    const wrong = betweenModules.filter(
      ({ from, to }) => from.startsWith('gpu-pool/') && !GPU_POOL[moduleOf(from)]!.includes(moduleOf(to)),
    );
    expect(wrong.map(arrow)).toEqual([]);
  });

  it('have no circle between folders, at any depth', () => {
    // `worker` and `gpu-pool` import each other (both use the protocol); the tables above restrict that.
    const graphs = [...folderGraphs(imports)].filter(([parent]) => parent !== '');
    const circles = graphs.flatMap(([parent, graph]) =>
      circlesIn(graph).map((folders) => `${parent}: ${folders.join(' → ')}`),
    );
    expect(circles).toEqual([]);
  });
});

/**
 * The module of a file: `worker/gateway` for `worker/gateway/node/stream.ts`.
 * A file directly in `worker/` is its own module.
 */
function moduleOf(path: string): string {
  return path.split('/').slice(0, 2).join('/');
}

function arrow({ from, to }: Import): string {
  return `${from} imports ${to}`;
}

type Graph = Map<string, Set<string>>;

/**
 * For each folder, the graph of its children (files and folders). An edge means
 * that a file in one imports a file in the other.
 */
function folderGraphs(all: readonly Import[]): Map<string, Graph> {
  const graphs = new Map<string, Graph>();
  for (const { from, to } of all) {
    const a = from.split('/');
    const b = to.split('/');
    const common = a.findIndex((part, i) => part !== b[i]);
    // A folder and the files directly in it count as one; only sibling folders can form a circle.
    if (common === a.length - 1 || common === b.length - 1) continue;
    const parent = a.slice(0, common).join('/');
    const graph = graphs.get(parent) ?? new Map<string, Set<string>>();
    graphs.set(parent, graph);
    const targets = graph.get(a[common]!) ?? new Set<string>();
    graph.set(a[common]!, targets.add(b[common]!));
  }
  return graphs;
}

/** One circle for each edge that closes one, given as the folders along it. */
function circlesIn(graph: Graph): string[][] {
  const circles: string[][] = [];
  const done = new Set<string>();
  const walk = (folder: string, path: readonly string[]): void => {
    const start = path.indexOf(folder);
    if (start >= 0) circles.push([...path.slice(start), folder]);
    if (start >= 0 || done.has(folder)) return;
    for (const next of graph.get(folder) ?? []) walk(next, [...path, folder]);
    done.add(folder);
  };
  for (const folder of graph.keys()) walk(folder, []);
  return circles;
}
