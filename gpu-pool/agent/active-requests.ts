/** One running request, and the set of all of them: which requests run, and which request ids are used up. */
import type { RequestClaims } from '../protocol/schemas.ts';
import { callEngine, type Engine } from './engine-client.ts';
import type { RequestError } from './request-error.ts';
import type { RequestToken } from './request-token.ts';
import { ABORT_PATH } from './sglang/request.ts';

/** edge: POST /v1/abort; disconnect: the edge closed its connection; shutdown: the agent has to stop now */
export type AbortReason = 'edge' | 'disconnect' | 'shutdown';

const ABORT_CALL_TIMEOUT_MS = 3_000;
/** An abort that overtakes its own request finds nothing to stop, so it is repeated until the stream ends. */
const ABORT_REPEAT_MS = 1_000;
/** Retry-After of a full node, in seconds: by then a heartbeat has reported its load to the edge. */
const RETRY_AFTER_SECONDS = 2;

export class ActiveRequest {
  readonly claims: RequestClaims;
  /** Answers wanted (`n`); the engine runs each as a sequence of its own. */
  readonly choices: number;
  readonly background: boolean;
  readonly startedAtMs: number;
  readonly #engine: Engine;
  readonly #graceMs: number;
  /** By choice, the id under which the engine knows it; undefined where that is not known yet. */
  readonly #choiceIds: (string | undefined)[];
  /** The id of the pass over the prompt that runs at the engine before the choices; null: none runs. */
  #promptPassId: string | null = null;
  #abortSent = false;
  #reason: AbortReason | null = null;
  #onGraceExpired: (() => void) | null = null;
  #onExtend: (heldNanoUsd: number) => number | null = () => null;
  #graceExpired = false;
  /** Made when someone wants its signal: most requests are never aborted, and wait for nothing. */
  #aborted: AbortController | null = null;
  #timers: NodeJS.Timeout[] = [];

  constructor(options: {
    claims: RequestClaims;
    choices: number;
    background: boolean;
    engine: Engine;
    startedAtMs: number;
    abortGraceMs: number;
  }) {
    this.claims = options.claims;
    this.choices = options.choices;
    this.background = options.background;
    this.startedAtMs = options.startedAtMs;
    this.#engine = options.engine;
    this.#graceMs = options.abortGraceMs;
    // Of several choices each gets an id that the engine makes (tokenizer_manager.py, `regenerate_rid`).
    this.#choiceIds = Array.from({ length: options.choices }, () =>
      options.choices === 1 ? options.claims.jti : undefined,
    );
  }

  /** Why this request is being aborted; null while it is not. The first reason stays. */
  get aborting(): AbortReason | null {
    return this.#reason;
  }

  /** Aborted when this request is. */
  get signal(): AbortSignal {
    this.#aborted ??= new AbortController();
    if (this.#reason !== null) this.#aborted.abort();
    return this.#aborted.signal;
  }

  /** Whether the engine was asked to abort, by an abort of the request or after a failure. */
  get abortSent(): boolean {
    return this.#abortSent;
  }

  /** Asks the engine to abort, and gives it the grace period to report how much it generated. */
  abort(reason: AbortReason): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#aborted?.abort();
    this.abortAtEngine();
    this.#timers.push(
      setInterval(() => this.abortAtEngine(), ABORT_REPEAT_MS),
      setTimeout(() => this.#expireGrace(), this.#reachable ? this.#graceMs : 0),
    );
  }

  /** Notes under which id the engine knows a choice, as its chunks say. */
  nameChoice(choice: number, id: string): void {
    if (this.choices > 1) this.#choiceIds[choice] = id;
  }

  /** Notes that the only choice goes on as another request of the engine. */
  goOnAs(rid: string): void {
    this.#choiceIds[0] = rid;
  }

  /** Notes that the engine makes a pass over the prompt, under an id of its own. */
  promptPassBegins(rid: string): void {
    this.#promptPassId = rid;
  }

  promptPassEnds(): void {
    this.#promptPassId = null;
  }

  /** Whether an abort reaches all that runs. A choice without a known id ends only when the engine sees that its client is gone. */
  get #reachable(): boolean {
    return this.#promptPassId !== null || this.#choiceIds.every((id) => id !== undefined);
  }

  /** Sets what is called when the edge says what the answer may cost; it returns what it may cost then. */
  setExtendCallback(callback: (heldNanoUsd: number) => number | null): void {
    this.#onExtend = callback;
  }

  /** Takes what the answer may cost. @returns what it may cost now; null: it has no bound */
  extend(heldNanoUsd: number): number | null {
    return this.#onExtend(heldNanoUsd);
  }

  #expireGrace(): void {
    this.#graceExpired = true;
    this.#onGraceExpired?.();
  }

  /**
   * Sets the callback for the end of the grace period after an abort, in place of an earlier one; it is called at once if
   * that has passed.
   */
  setGraceExpiredCallback(callback: () => void): void {
    this.#onGraceExpired = callback;
    if (this.#graceExpired) callback();
  }

  /** Aborts the pass over the prompt, or else every choice whose id is known. */
  abortAtEngine(): void {
    if (this.#promptPassId !== null) this.#abortId(this.#promptPassId);
    else for (const choice of this.#choiceIds.keys()) this.abortChoice(choice);
  }

  /** Aborts one choice. */
  abortChoice(choice: number): void {
    this.#abortId(this.#choiceIds[choice]);
  }

  /** POST /abort_request drops an id that the engine does not know, with a 200. */
  #abortId(rid: string | undefined): void {
    this.#abortSent = true;
    if (rid === undefined) return;
    void callEngine(this.#engine, {
      method: 'POST',
      path: ABORT_PATH,
      body: { rid },
      admin: true,
      timeoutMs: ABORT_CALL_TIMEOUT_MS,
    });
  }

  dispose(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
    this.#onGraceExpired = null;
  }
}

/** The places that a request demands of the engine, and the most that the engine has. */
interface Demand {
  choices: number;
  background: boolean;
  sequencesMax: number;
}

export class ActiveRequests {
  readonly #byId = new Map<string, ActiveRequest>();
  /** Used request ids, each with the expiry of its token: after that the token itself is refused. */
  readonly #usedIds: Map<string, number>;
  readonly #now: () => number;
  #emptyWaiters: (() => void)[] = [];
  #sweptAtMs = 0;

  constructor(options: { usedIds: ReadonlyMap<string, number>; now: () => number }) {
    this.#usedIds = new Map(options.usedIds);
    this.#now = options.now;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Sequences in flight, summed over all requests. */
  get sequences(): number {
    return [...this.#byId.values()].reduce((total, { choices }) => total + choices, 0);
  }

  /**
   * The error for a request whose `choices` would exceed `sequencesMax`, else null. Background requests do not count
   * against an interactive one, because the engine has them make room. A request that would be the only one is left for
   * the engine to judge.
   */
  capacityError({ choices, background, sequencesMax }: Demand): RequestError | null {
    const others = [...this.#byId.values()].filter((other) => background || !other.background);
    const sequences = others.reduce((total, other) => total + other.choices, 0);
    if (others.length === 0 || sequences + choices <= sequencesMax) return null;
    return {
      code: 'overloaded',
      message: 'This node is full: its engine cannot run or queue more requests.',
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    };
  }

  /** Admits a request. Its id is good for one request: it must be neither running nor used up. */
  admit(
    { claims, expiresAtMs }: RequestToken,
    { create, ...demand }: Demand & { create: () => ActiveRequest },
  ): ActiveRequest | RequestError {
    this.#sweep();
    if (this.#byId.has(claims.jti))
      return { code: 'bad_request', message: 'This request is already running.' };
    if (this.#usedIds.has(claims.jti))
      return { code: 'bad_request', message: 'This request id has already been used.' };
    const capacityError = this.capacityError(demand);
    if (capacityError !== null) return capacityError;
    this.#usedIds.set(claims.jti, expiresAtMs);
    const request = create();
    this.#byId.set(claims.jti, request);
    return request;
  }

  find({ jti, sub }: RequestClaims): ActiveRequest | undefined {
    const request = this.#byId.get(jti);
    return request?.claims.sub === sub ? request : undefined;
  }

  remove(request: ActiveRequest): void {
    request.dispose();
    this.#byId.delete(request.claims.jti);
    if (this.#byId.size > 0) return;
    for (const resolve of this.#emptyWaiters.splice(0)) resolve();
  }

  abortAll(reason: AbortReason): void {
    for (const request of this.#byId.values()) request.abort(reason);
  }

  /** Resolves when nothing is in flight. */
  whenEmpty(): Promise<void> {
    if (this.#byId.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#emptyWaiters.push(resolve));
  }

  #sweep(): void {
    const nowMs = this.#now();
    if (nowMs - this.#sweptAtMs < 10_000) return;
    this.#sweptAtMs = nowMs;
    for (const [id, expiresAtMs] of this.#usedIds) if (expiresAtMs < nowMs) this.#usedIds.delete(id);
  }
}
