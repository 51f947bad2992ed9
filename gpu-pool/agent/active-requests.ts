/** One request in the agent's hands, and the book of all of them: who runs, which ids are used up. */
import type { RequestClaims } from '../protocol/schemas.ts';
import { callEngine, type Engine } from './engine-client.ts';
import type { RequestError } from './request-error.ts';
import type { RequestToken } from './request-token.ts';
import { ABORT_PATH } from './sglang/request.ts';

/** edge: POST /v1/abort; gone: the edge closed its connection; shutdown: the agent has to stop now */
export type AbortReason = 'edge' | 'gone' | 'shutdown';

const ABORT_CALL_TIMEOUT_MS = 3_000;
/** An abort that overtakes its own request finds nothing to stop, so it is repeated until the stream ends. */
const ABORT_REPEAT_MS = 1_000;
/** By then a heartbeat has told the edge how full this node is. */
const RETRY_AFTER_SECONDS = 2;

export class ActiveRequest {
  readonly claims: RequestClaims;
  /** answers wanted, which the engine runs as sequences of their own */
  readonly choices: number;
  readonly startedAtMs: number;
  readonly #engine: Engine;
  readonly #graceMs: number;
  #engineTold = false;
  #reason: AbortReason | null = null;
  #onCut: (() => void) | null = null;
  #cut = false;
  #timers: NodeJS.Timeout[] = [];

  constructor(options: {
    claims: RequestClaims;
    choices: number;
    engine: Engine;
    startedAtMs: number;
    abortGraceMs: number;
  }) {
    this.claims = options.claims;
    this.choices = options.choices;
    this.startedAtMs = options.startedAtMs;
    this.#engine = options.engine;
    this.#graceMs = options.abortGraceMs;
  }

  /** Why this request is being aborted; null while nobody wants that. The first reason stays. */
  get aborting(): AbortReason | null {
    return this.#reason;
  }

  /** Whether the engine was told to stop, by an abort or after a failure. */
  get engineTold(): boolean {
    return this.#engineTold;
  }

  /** Tells the engine to stop, and gives it the grace period to say how much it generated. */
  abort(reason: AbortReason): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.stopEngine();
    this.#timers.push(
      setInterval(() => this.stopEngine(), ABORT_REPEAT_MS),
      setTimeout(() => {
        this.#cut = true;
        this.#onCut?.();
      }, this.#graceMs),
    );
  }

  /** `cut` is called once the grace period after an abort is over. */
  onCut(cut: () => void): void {
    this.#onCut = cut;
    if (this.#cut) cut();
  }

  /** POST /abort_request matches prefixes of `rid`; ids have a fixed length, so this one is alone. */
  stopEngine(): void {
    this.#engineTold = true;
    void callEngine(this.#engine, {
      method: 'POST',
      path: ABORT_PATH,
      body: { rid: this.claims.jti },
      admin: true,
      timeoutMs: ABORT_CALL_TIMEOUT_MS,
    });
  }

  landed(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
    this.#onCut = null;
  }
}

export class ActiveRequests {
  readonly #flights = new Map<string, ActiveRequest>();
  /** ids that were used, until the tokens that they came with expire */
  readonly #used: Map<string, number>;
  readonly #now: () => number;
  #landing: (() => void)[] = [];
  #swept = 0;

  constructor(options: { used: ReadonlyMap<string, number>; now: () => number }) {
    this.#used = new Map(options.used);
    this.#now = options.now;
  }

  get size(): number {
    return this.#flights.size;
  }

  /** answers in hand, over all requests */
  get sequences(): number {
    return [...this.#flights.values()].reduce((total, { choices }) => total + choices, 0);
  }

  /** A refusal where `room` has no place for `choices` more. One that is alone is left to the engine to judge. */
  overfull({ choices, room }: { choices: number; room: number }): RequestError | null {
    if (this.#flights.size === 0 || this.sequences + choices <= room) return null;
    return {
      code: 'overloaded',
      message: 'This node has as much in hand as its engine can run and queue.',
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    };
  }

  /** An id is good for one request: it must be neither running nor used up. */
  admit(
    { claims, expiresAtMs }: RequestToken,
    { choices, room, create }: { choices: number; room: number; create: () => ActiveRequest },
  ): ActiveRequest | RequestError {
    this.#sweep();
    if (this.#flights.has(claims.jti))
      return { code: 'bad_request', message: 'This request is already running.' };
    if (this.#used.has(claims.jti))
      return { code: 'bad_request', message: 'This request id was used before.' };
    const overfull = this.overfull({ choices, room });
    if (overfull !== null) return overfull;
    this.#used.set(claims.jti, expiresAtMs);
    const flight = create();
    this.#flights.set(claims.jti, flight);
    return flight;
  }

  find({ jti, sub }: RequestClaims): ActiveRequest | undefined {
    const flight = this.#flights.get(jti);
    return flight?.claims.sub === sub ? flight : undefined;
  }

  land(flight: ActiveRequest): void {
    flight.landed();
    this.#flights.delete(flight.claims.jti);
    if (this.#flights.size > 0) return;
    for (const landed of this.#landing.splice(0)) landed();
  }

  abortAll(reason: AbortReason): void {
    for (const flight of this.#flights.values()) flight.abort(reason);
  }

  /** Resolves when nothing is in flight. */
  empty(): Promise<void> {
    if (this.#flights.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#landing.push(resolve));
  }

  #sweep(): void {
    const nowMs = this.#now();
    if (nowMs - this.#swept < 10_000) return;
    this.#swept = nowMs;
    for (const [id, expiresAtMs] of this.#used) if (expiresAtMs < nowMs) this.#used.delete(id);
  }
}
