/** One HTTP call from an isolate to a node: bytes in order, with time between them, and an end on either side. */

import { CLAIMS_HEADER, RequestClaims } from '../../gpu-pool/protocol/schemas.ts';
import type { Isolate } from './isolate.ts';
import type { SimAbortSignal } from './platform/abort.ts';
import { SimResponse } from './platform/http.ts';
import { SimReadableStream } from './platform/streams.ts';
import { WORLD } from './scheduler.ts';
import type { Universe } from './universe.ts';

export class Exchange {
  readonly origin: string;
  readonly path: string;
  /** of a request that another node was asked for before, by this isolate */
  isRetry = false;
  /** of the edge's call */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly isolate: Isolate;
  readonly response: Promise<SimResponse>;
  /** the node's: called once when its caller has hung up */
  onGone: () => void = () => {};
  /** a byte of the answer has reached the caller, or the call is over */
  begun = false;
  readonly #universe: Universe;
  readonly #settle: { resolve(response: SimResponse): void; reject(reason: unknown): void };
  #stream: SimReadableStream | null = null;
  #open = true;
  /** bytes arrive in the order in which they were sent */
  #arrivedAtMs = 0;

  constructor(universe: Universe, isolate: Isolate, url: string, init: Record<string, unknown>) {
    this.#universe = universe;
    this.isolate = isolate;
    const { origin, pathname } = new URL(url);
    this.origin = origin;
    this.path = pathname;
    this.headers = init.headers as Record<string, string>;
    this.body = (init.body as string | undefined) ?? '';
    const { promise, resolve, reject } = Promise.withResolvers<SimResponse>();
    this.response = promise;
    this.#settle = { resolve, reject };
    const signal = init.signal as SimAbortSignal | undefined;
    if (signal?.aborted) {
      this.#aborted(signal);
      return;
    }
    signal?.addEventListener('abort', () => this.#aborted(signal));
    isolate.exchanges.add(this);
    universe.onDispatch(this, isolate);
    universe.scheduler.after(universe.faults.latencyMs(), WORLD, () => {
      const server = universe.servers.get(origin);
      if (server) server(this);
      else this.refuse();
    });
  }

  /** What the edge asks for, whoever it is. */
  claims(): RequestClaims {
    return RequestClaims.parse(JSON.parse(this.headers[CLAIMS_HEADER]!));
  }

  /** The caller has read the end, or hung up: until then the request is at a node for all that it knows. */
  get finished(): boolean {
    return !this.#open && (this.#stream === null || this.#stream.endIsKnown);
  }

  get open(): boolean {
    return this.#open;
  }

  /** The head, with the whole body or with what will follow by `send`. */
  respond(status: number, headers: Record<string, string> = {}, body?: string): void {
    this.#arrive(() => {
      if (body !== undefined) {
        this.#over();
        this.#settle.resolve(new SimResponse(body, { status, headers }));
        return;
      }
      this.#stream = new SimReadableStream({ cancel: () => this.#hangUp() });
      this.#settle.resolve(new SimResponse(this.#stream, { status, headers }));
    });
  }

  send(...parts: Uint8Array[]): void {
    this.#arrive(() => {
      this.begun = true;
      for (const part of parts) this.#stream?.push(part);
    });
  }

  end(): void {
    this.#arrive(() => {
      this.#over();
      this.#stream?.finish();
    });
  }

  /** Nobody listens there. */
  refuse(): void {
    this.reset('connection refused');
  }

  /** The connection breaks. */
  reset(why = 'connection reset'): void {
    this.#arrive(() => {
      this.#over();
      const error = new TypeError(why);
      this.#settle.reject(error);
      this.#stream?.fail(error);
    });
  }

  callerDied(): void {
    this.#hangUp();
  }

  #aborted({ reason }: SimAbortSignal): void {
    this.#settle.reject(reason);
    this.#stream?.fail(reason);
    this.#hangUp();
  }

  #hangUp(): void {
    if (!this.#open) return;
    this.#over();
    this.#universe.scheduler.after(this.#universe.faults.latencyMs(), WORLD, () => this.onGone());
  }

  #over(): void {
    this.#open = false;
    this.begun = true;
  }

  #arrive(run: () => void): void {
    const { scheduler, faults } = this.#universe;
    this.#arrivedAtMs = Math.max(this.#arrivedAtMs, scheduler.nowMs + faults.latencyMs());
    scheduler.after(this.#arrivedAtMs - scheduler.nowMs, this.isolate.life, () => {
      if (this.#open) run();
    });
  }
}
