/** A request under an idempotency key: how it begins, and its possible results. */
import type { ApiError } from '../../http/api-error.ts';
import type { Principal } from '../../http/authenticate.ts';
import type { ClientChunk } from '../stream/client-chunk.ts';

export interface KeyedRequest {
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  readonly principal: Principal;
  readonly requestId: string;
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

/** A request that runs under an idempotency key: its answer is recorded, or it is abandoned. */
export interface IdempotentRun {
  /** Passes the chunks on and stores the response once the answer is complete; an incomplete one is abandoned. */
  record(chunks: AsyncGenerator<ClientChunk, void>): AsyncGenerator<ClientChunk, void>;
  /** Releases the key: there will be no response to store. */
  abandon(): Promise<void>;
}

export type IdempotentStart =
  | { kind: 'run'; run: IdempotentRun }
  | { kind: 'replay'; requestId: string; body: ReadableStream<Uint8Array> }
  | { kind: 'error'; error: ApiError };
