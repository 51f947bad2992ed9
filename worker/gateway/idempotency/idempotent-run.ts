/** A request under an idempotency key: how it begins, and its possible results. */
import type { ApiError } from '../../http/api-error.ts';
import type { Principal } from '../../http/authenticate.ts';

export interface KeyedRequest {
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  readonly principal: Principal;
  readonly requestId: string;
  readonly waitUntil: (promise: Promise<unknown>) => void;
}

/** Takes an answer on its way to the client. */
export interface AnswerRecorder {
  write(text: string): void;
  /** Stores the answer if it is whole, else abandons the request. */
  end(isWhole: boolean): void;
}

/** A request that runs under an idempotency key: its answer is recorded, or it is abandoned. */
export interface IdempotentRun {
  /** null: nothing is recorded, because the request has no key */
  readonly recorder: AnswerRecorder | null;
  /** Releases the key: there will be no response to store. */
  abandon(): Promise<void>;
}

export type IdempotentStart =
  | { kind: 'run'; run: IdempotentRun }
  | { kind: 'replay'; requestId: string; body: ReadableStream<Uint8Array> }
  | { kind: 'error'; error: ApiError };
