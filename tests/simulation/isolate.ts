/** One isolate of the edge: the Worker's code with memory of its own, connections, and a clock that may be wrong. */
import { type Context, enter } from './context.ts';
import { Exchange } from './exchange.ts';
import { SimAbortController } from './platform/abort.ts';
import { SimRequest, type SimResponse } from './platform/http.ts';
import { SimReadableStream } from './platform/streams.ts';
import { WORLD } from './scheduler.ts';
import { SETTINGS } from './settings.ts';
import type { Call, Universe } from './universe.ts';

const HOUR_MS = 3_600_000;

export class Isolate {
  readonly life: Context;
  readonly index: number;
  readonly env: object;
  /** requests at nodes */
  readonly exchanges = new Set<Exchange>();
  /** those who hear of it when it dies */
  readonly #waiting = new Set<() => void>();
  readonly #universe: Universe;

  constructor(universe: Universe, index: number) {
    this.#universe = universe;
    this.index = index;
    this.life = universe.begin({
      offsetMs: offsetOf(universe),
      fetch: (url, init) => new Exchange(universe, this, url, init).response,
    });
    this.env = universe.bindings(this.life);
  }

  /** Handles a request that has arrived. What it hears after its isolate's death is that the connection broke. */
  serve(
    call: Call,
    leaving: SimAbortController,
    heard: { answered(response: SimResponse): void; broken(): void },
  ): void {
    enter(this.life);
    const broken = () => {
      this.#waiting.delete(broken);
      this.#universe.scheduler.after(this.#universe.faults.latencyMs(), WORLD, heard.broken);
    };
    this.#waiting.add(broken);
    // within the isolate the request is its own: the runtime tells it when the client has left
    const gone = new SimAbortController();
    leaving.signal.addEventListener('abort', () => {
      if (!this.life.alive) return;
      enter(this.life);
      gone.abort();
    });
    if (leaving.signal.aborted) gone.abort();
    const request = new SimRequest(SETTINGS.PUBLIC_ORIGIN + call.path, {
      method: call.method,
      headers: { ...call.headers, 'content-length': String(call.body?.length ?? 0) },
      body: call.uploadMs ? this.#trickling(call.body ?? '', call.uploadMs) : call.body,
      signal: gone.signal,
    });
    const context = {
      waitUntil: (promise: Promise<unknown>) => void promise.catch(() => undefined),
      passThroughOnException() {},
      props: {},
    };
    Promise.resolve(this.#universe.machine.edge.app.fetch(request, this.env, context)).then(
      (response) => {
        if (this.#waiting.delete(broken)) heard.answered(response);
      },
      (error: unknown) => {
        this.#universe.logs.push(String(error));
        if (this.#waiting.has(broken)) broken();
      },
    );
  }

  /** Whoever reads an answer of this isolate hears of its death. @returns stops that */
  whileReading(broken: () => void): () => void {
    const heard = () => void this.#universe.scheduler.after(this.#universe.faults.latencyMs(), WORLD, broken);
    // its head may have been on the way when it died
    if (!this.life.alive) heard();
    this.#waiting.add(heard);
    return () => this.#waiting.delete(heard);
  }

  kill(): void {
    this.life.alive = false;
    this.#universe.note('isolate dies', String(this.index));
    for (const exchange of [...this.exchanges]) exchange.callerDied();
    for (const broken of [...this.#waiting]) broken();
  }

  #trickling(body: string, uploadMs: number): SimReadableStream {
    const bytes = new TextEncoder().encode(body);
    const half = bytes.length >> 1;
    return new SimReadableStream({
      start: (controller) => {
        controller.enqueue(bytes.subarray(0, half));
        this.#universe.scheduler.after(uploadMs, this.life, () => {
          controller.enqueue(bytes.subarray(half));
          controller.close();
        });
      },
    });
  }
}

/** Most clocks are good, some are seconds off, a few an hour. */
function offsetOf({ random, faults }: Universe): number {
  if (faults.chance('clock_1_h_off', 0.03)) return random.pick([-HOUR_MS, HOUR_MS]);
  if (faults.chance('clock_seconds_off', 0.2)) return random.between(-8_000, 8_000);
  return random.between(-50, 50);
}
