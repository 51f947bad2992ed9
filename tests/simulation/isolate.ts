/** One isolate of the edge: the Worker's code with its own module state, its connections, and a clock that may be wrong. */
import { type Context, enter } from './context.ts';
import { Exchange, type Network } from './exchange.ts';
import { WORLD } from './life.ts';
import { SimAbortController, type SimAbortSignal } from './platform/abort.ts';
import { SimRequest, type SimResponse } from './platform/http.ts';
import { SimReadableStream } from './platform/streams.ts';
import { SETTINGS } from './settings.ts';
import type { Surroundings } from './surroundings.ts';

const HOUR_MS = 3_600_000;

/** A request to the edge, as its sender describes it. */
export interface EdgeRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
  /** The second half of the body follows this long after the first. */
  readonly uploadMs?: number;
}

export class Isolate {
  readonly life: Context;
  readonly index: number;
  readonly env: object;
  /** Requests at nodes. */
  readonly exchanges = new Set<Exchange>();
  /** Called when the isolate dies. */
  readonly #deathListeners = new Set<() => void>();
  readonly #world: Surroundings;

  constructor(world: Surroundings & Network, index: number) {
    this.#world = world;
    this.index = index;
    this.life = world.begin({
      offsetMs: offsetOf(world),
      fetch: (url, init) => new Exchange(world, this, url, init).response,
    });
    this.env = world.bindings(this.life);
  }

  /**
   * Handles a request that has arrived. If the isolate dies before it answers, the sender is told that the connection
   * broke.
   */
  serve(
    call: EdgeRequest,
    disconnect: SimAbortSignal,
    callbacks: { answered(response: SimResponse): void; broken(): void },
  ): void {
    enter(this.life);
    const broken = () => {
      this.#deathListeners.delete(broken);
      this.#world.scheduler.after(this.#world.faults.latencyMs(), WORLD, callbacks.broken);
    };
    this.#deathListeners.add(broken);
    const context = {
      waitUntil: (promise: Promise<unknown>) => void promise.catch(() => undefined),
      passThroughOnException() {},
      props: {},
    };
    const request = this.#requestOf(call, disconnect);
    Promise.resolve(this.#world.machine.edge.app.fetch(request, this.env, context)).then(
      (response) => {
        if (this.#deathListeners.delete(broken)) callbacks.answered(response);
      },
      (error: unknown) => {
        this.#world.logs.push(String(error));
        if (this.#deathListeners.has(broken)) broken();
      },
    );
  }

  /** Calls `broken` if this isolate dies while its answer is being read. @returns stops listening */
  whileReading(broken: () => void): () => void {
    const listener = () => void this.#world.scheduler.after(this.#world.faults.latencyMs(), WORLD, broken);
    // the isolate may have died while the answer's head was on its way
    if (!this.life.alive) listener();
    this.#deathListeners.add(listener);
    return () => this.#deathListeners.delete(listener);
  }

  kill(): void {
    this.life.alive = false;
    this.#world.note('isolate dies', String(this.index));
    for (const exchange of [...this.exchanges]) exchange.callerDied();
    for (const broken of [...this.#deathListeners]) broken();
  }

  /** The request as the Worker sees it. Its signal is the isolate's own, since it must fire in this isolate's context. */
  #requestOf(call: EdgeRequest, disconnect: SimAbortSignal): SimRequest {
    const controller = new SimAbortController();
    disconnect.addEventListener('abort', () => {
      if (!this.life.alive) return;
      enter(this.life);
      controller.abort();
    });
    if (disconnect.aborted) controller.abort();
    return new SimRequest(SETTINGS.PUBLIC_ORIGIN + call.path, {
      method: call.method,
      headers: { ...call.headers, 'content-length': String(call.body?.length ?? 0) },
      body: call.uploadMs ? this.#inTwoHalves(call.body ?? '', call.uploadMs) : call.body,
      signal: controller.signal,
    });
  }

  #inTwoHalves(body: string, uploadMs: number): SimReadableStream {
    const bytes = new TextEncoder().encode(body);
    const half = bytes.length >> 1;
    return new SimReadableStream({
      start: (controller) => {
        controller.enqueue(bytes.subarray(0, half));
        this.#world.scheduler.after(uploadMs, this.life, () => {
          controller.enqueue(bytes.subarray(half));
          controller.close();
        });
      },
    });
  }
}

/** Draws how far a clock is off: most by milliseconds, some by seconds, a few by an hour. */
function offsetOf({ random, faults }: Surroundings): number {
  if (faults.chance('clock_1_h_off', 0.03)) return random.pick([-HOUR_MS, HOUR_MS]);
  if (faults.chance('clock_seconds_off', 0.2)) return random.between(-8_000, 8_000);
  return random.between(-50, 50);
}
