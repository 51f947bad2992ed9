/** Chunks of an answer on their way to the client. */
import type { ApiError } from '../../http/api-error.ts';

/** A part of an answer's text as it becomes ready, or the error that ends it. An error is the last chunk. */
export type ClientChunk =
  /** `last`: this text completes the answer */
  | { kind: 'text'; text: string; last: boolean }
  /** Keeps the connection alive and is not part of the answer. `sign`: as an event of the dialect, where it has one. */
  | { kind: 'keep_alive'; sign: boolean }
  | { kind: 'error'; error: ApiError };
