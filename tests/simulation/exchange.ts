/** One HTTP call from an isolate to a node: bytes arrive in order and take time, and either side may end it. */
import { CLAIMS_HEADER, RequestClaims } from '../../gpu-pool/protocol/schemas.ts';
import { type Life, WORLD } from './life.ts';
import type { SimAbortSignal } from './platform/abort.ts';
import { SimResponse } from './platform/http.ts';
import { SimReadableStream } from './platform/streams.ts';
import type { Surroundings } from './surroundings.ts';

/** The isolate that makes a call, as the call sees it. */
export interface Caller {
  readonly life: Life;
  /** The caller's requests at nodes. */
  readonly exchanges: Set<Exchange>;
}

/** The network between isolates and nodes. */
export interface Network extends Pick<Surroundings, 'faults' | 'scheduler'> {
  /** The handler of each node's HTTP server, by origin. */
  readonly servers: ReadonlyMap<string, (exchange: Exchange) => void>;
  /** Called when a request leaves an isolate, before it can reach its node. */
  onDispatch(exchange: Exchange, caller: Caller): void;
}

export class Exchange {
  readonly origin: string;
  readonly path: string;
  /** True when the request has already been sent to another node by this isolate. */
  isRetry = false;
  /** Headers of the edge's request. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly caller: Caller;
  readonly response: Promise<SimResponse>;
  /** Set by the node; called once when the caller has hung up. */
  onHangUp: () => void = () => {};
  /** True when a byte of the answer has reached the caller, or the call is over. */
  begun = false;
  readonly #network: Network;
  readonly #settle: { resolve(response: SimResponse): void; reject(reason: unknown): void };
  #stream: SimReadableStream | null = null;
  #open = true;
  /** When the last bytes arrive: later ones arrive no earlier, so the order is kept. */
  #arrivedAtMs = 0;

  constructor(network: Network, caller: Caller, url: string, init: Record<string, unknown>) {
    this.#network = network;
    this.caller = caller;
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
    caller.exchanges.add(this);
    network.onDispatch(this, caller);
    network.scheduler.after(network.faults.latencyMs(), WORLD, () => {
      const server = network.servers.get(origin);
      if (server) server(this);
      else this.refuse();
    });
  }

  /** The claims of the request, whose signature is not checked here. */
  claims(): RequestClaims {
    return RequestClaims.parse(JSON.parse(this.headers[CLAIMS_HEADER]!));
  }

  /** True when the caller has read the end or hung up; until then it must count the request as active at a node. */
  get finished(): boolean {
    return !this.#open && (this.#stream === null || this.#stream.endIsKnown);
  }

  get open(): boolean {
    return this.#open;
  }

  /** Sends the head. Without `body`, the body follows by `send` and `end`. */
  respond(status: number, headers: Record<string, string> = {}, body?: string): void {
    this.#arrive(() => {
      if (body !== undefined) {
        this.#close();
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
      this.#close();
      this.#stream?.finish();
    });
  }

  /** Fails as a connection to a port without a listener does. */
  refuse(): void {
    this.reset('connection refused');
  }

  /** Breaks the connection. */
  reset(reason = 'connection reset'): void {
    this.#arrive(() => {
      this.#close();
      const error = new TypeError(reason);
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
    this.#close();
    this.#network.scheduler.after(this.#network.faults.latencyMs(), WORLD, () => this.onHangUp());
  }

  #close(): void {
    this.#open = false;
    this.begun = true;
  }

  #arrive(run: () => void): void {
    const { scheduler, faults } = this.#network;
    this.#arrivedAtMs = Math.max(this.#arrivedAtMs, scheduler.nowMs + faults.latencyMs());
    scheduler.after(this.#arrivedAtMs - scheduler.nowMs, this.caller.life, () => {
      if (this.#open) run();
    });
  }
}
