/**
 * The Worker with which tests/load/pool.ts loads a Pool. It runs beside the Worker under test and has the same cache
 * code.
 */
import type { PoolApi } from '../../../worker/domain/node.ts';
import type { Env } from '../../../worker/env.ts';
import type { Measured, Order, Timed } from '../../load/figures.ts';
import { busyReport, crowdOfNodes, Isolates } from './pool-crowd.ts';

const MODEL = 'deepseek-r1-0528';
const TICK_MS = 10;

export default {
  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    const order = await request.json<Order>();
    return Response.json(await new Drive(env, order, (promise) => context.waitUntil(promise)).run());
  },
};

/** Calls at once: enough to keep both sides busy. More would only wait in queues. */
const WIDTH = 64;

class Drive {
  readonly #order: Order;
  readonly #pool: PoolApi;
  readonly #isolates: Isolates;
  readonly #nodes: ReturnType<typeof crowdOfNodes>;
  readonly #waitUntil: (promise: Promise<unknown>) => void;
  readonly #heartbeats: number[] = [];
  readonly #reads: number[] = [];
  readonly #ages: number[] = [];
  #snapshotBytes = 0;

  constructor(env: Env, order: Order, waitUntil: (promise: Promise<unknown>) => void) {
    this.#order = order;
    this.#waitUntil = waitUntil;
    this.#pool = env.POOL.getByName(MODEL) as unknown as PoolApi;
    this.#isolates = new Isolates(order.readers, { env, modelId: MODEL });
    this.#nodes = crowdOfNodes(order.nodes, MODEL);
  }

  async run(): Promise<Measured> {
    const startedMs = Date.now();
    const { phase, nodes, seconds } = this.#order;
    const isOver = () => Date.now() - startedMs >= seconds * 1_000;
    switch (phase) {
      case 'register':
        await inParallel((i) => i >= nodes, this.#sendHeartbeat);
        break;
      case 'heartbeats':
        await inParallel(isOver, this.#sendHeartbeat);
        break;
      case 'routes':
        await inParallel(isOver, this.#readText);
        break;
      case 'together':
        await this.#together(isOver);
    }
    return {
      seconds: (Date.now() - startedMs) / 1_000,
      heartbeats: timed(this.#heartbeats),
      reads: timed(this.#reads),
      poolCalls: this.#isolates.poolCalls,
      refreshes: this.#isolates.refreshes,
      snapshotBytes: this.#snapshotBytes,
      ageMs: { p50: percentile(this.#ages, 0.5), p99: percentile(this.#ages, 0.99) },
    };
  }

  /** Heartbeats at the rate of production, and beside them as many reads as this machine can do. */
  async #together(isOver: () => boolean): Promise<void> {
    const { nodes, heartbeatEveryMs } = this.#order;
    const pending = new Set<Promise<unknown>>();
    const beats = async () => {
      const startedMs = Date.now();
      for (let sent = 0; !isOver(); await scheduler.wait(TICK_MS)) {
        const due = ((Date.now() - startedMs) * nodes) / heartbeatEveryMs;
        for (; sent < due && pending.size < nodes; sent++) {
          const beat = this.#sendHeartbeat(sent).finally(() => pending.delete(beat));
          pending.add(beat);
        }
      }
      await Promise.all(pending);
    };
    await Promise.all([beats(), inParallel(isOver, this.#read)]);
  }

  #sendHeartbeat = async (i: number) => {
    const startedMs = Date.now();
    await this.#pool.heartbeat(this.#nodes[i % this.#nodes.length]!, busyReport(i));
    this.#heartbeats.push(Date.now() - startedMs);
  };

  #readText = async () => {
    const startedMs = Date.now();
    this.#snapshotBytes = (await this.#pool.snapshotText()).length;
    this.#reads.push(Date.now() - startedMs);
  };

  #read = async (i: number) => {
    const startedMs = Date.now();
    const { ageMs, refreshed } = await this.#isolates.read(i, this.#waitUntil);
    this.#ages.push(ageMs);
    this.#reads.push(Date.now() - startedMs);
    // A loop that never waits for a timer would keep the others from running.
    await scheduler.wait(refreshed ? 1 : TICK_MS);
  };
}

async function inParallel(isOver: (i: number) => boolean, call: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let i = next++; !isOver(i); i = next++) await call(i);
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
}

function timed(tookMs: number[]): Timed {
  return { count: tookMs.length, p50Ms: percentile(tookMs, 0.5), p99Ms: percentile(tookMs, 0.99) };
}

function percentile(numbers: number[], share: number): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length * share)] ?? 0;
}
