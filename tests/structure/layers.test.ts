/**
 * The layers of the code, from the ground up. A room imports only from lower floors, so whoever changes a room needs to
 * look no lower than its floor; Biome's noImportCycles holds the same between files.
 */
import { describe, expect, it } from 'vitest';
import { type Import, sourceImports } from './imports.ts';

const FLOORS: readonly (readonly string[])[] = [
  ['worker/lib', 'worker/examples', 'gpu-pool/protocol'],
  ['worker/domain', 'worker/tokens'],
  ['worker/env.ts', 'worker/i18n', 'worker/db'],
  ['worker/wallet', 'worker/http', 'worker/notifications'],
  ['worker/gateway', 'worker/billing', 'worker/identity'],
  ['worker/fleet', 'worker/batches'],
  ['worker/api', 'worker/operator', 'worker/portal', 'worker/queue.ts'],
  ['worker/index.ts'],
];

/** Each room of the GPU pool, and all that it may import beside its own files. */
const GPU_POOL: Readonly<Record<string, readonly string[]>> = {
  'gpu-pool/protocol': [],
  'gpu-pool/agent': ['gpu-pool/protocol'],
  'gpu-pool/emulator': ['gpu-pool/protocol'],
  'gpu-pool/recipes': ['gpu-pool/protocol', 'gpu-pool/agent'],
  'gpu-pool/simulator': ['gpu-pool/protocol', 'gpu-pool/emulator', 'worker/domain'],
  'gpu-pool/local': ['gpu-pool/protocol', 'worker/domain'],
};

const floorOf = new Map(FLOORS.flatMap((rooms, floor) => rooms.map((room) => [room, floor] as const)));
const imports = sourceImports();
const between = imports.filter(({ from, to }) => roomOf(from) !== roomOf(to));

describe('layers', () => {
  it('gives every room a floor', () => {
    const rooms = new Set(imports.flatMap(({ from, to }) => [roomOf(from), roomOf(to)]));
    const unknown = [...rooms].filter((room) => !floorOf.has(room) && GPU_POOL[room] === undefined);
    expect(unknown, 'name the room in FLOORS, or move its files into a room that is').toEqual([]);
    const empty = [...floorOf.keys(), ...Object.keys(GPU_POOL)].filter((room) => !rooms.has(room));
    expect(empty, 'no file of these rooms imports or is imported').toEqual([]);
  });

  it('lets the Worker import from lower floors only', () => {
    const wrong = between.filter(({ from, to }) => {
      const floor = floorOf.get(roomOf(from));
      return from.startsWith('worker/') && floor! <= (floorOf.get(roomOf(to)) ?? Number.POSITIVE_INFINITY);
    });
    expect(wrong.map(arrow)).toEqual([]);
  });

  it('lets the GPU pool import the protocol and little else', () => {
    const wrong = between.filter(
      ({ from, to }) => from.startsWith('gpu-pool/') && !GPU_POOL[roomOf(from)]!.includes(roomOf(to)),
    );
    expect(wrong.map(arrow)).toEqual([]);
  });

  it('has no circle between folders, at any depth', () => {
    // The two halves of the project are held by the tables above: both stand on the protocol.
    const graphs = [...folderGraphs(imports)].filter(([parent]) => parent !== '');
    const circles = graphs.flatMap(([parent, graph]) =>
      circlesIn(graph).map((folders) => `${parent}: ${folders.join(' → ')}`),
    );
    expect(circles).toEqual([]);
  });
});

/** `worker/gateway` of `worker/gateway/node/stream.ts`; a file directly in `worker/` is a room of its own. */
function roomOf(path: string): string {
  return path.split('/').slice(0, 2).join('/');
}

function arrow({ from, to }: Import): string {
  return `${from} imports ${to}`;
}

type Graph = Map<string, Set<string>>;

/** For each folder a graph of its children, files and folders: an edge where something in one imports something in the other. */
function folderGraphs(all: readonly Import[]): Map<string, Graph> {
  const graphs = new Map<string, Graph>();
  for (const { from, to } of all) {
    const a = from.split('/');
    const b = to.split('/');
    const common = a.findIndex((part, i) => part !== b[i]);
    // A folder and the files directly in it are one whole; only folders beside each other can form a circle.
    if (common === a.length - 1 || common === b.length - 1) continue;
    const parent = a.slice(0, common).join('/');
    const graph = graphs.get(parent) ?? new Map<string, Set<string>>();
    graphs.set(parent, graph);
    const targets = graph.get(a[common]!) ?? new Set<string>();
    graph.set(a[common]!, targets.add(b[common]!));
  }
  return graphs;
}

/** One circle for each edge that closes one, as the folders along it. */
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
