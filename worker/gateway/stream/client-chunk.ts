/** Pieces of an answer on their way to the client. */
import type { ApiError } from '../../http/api-error.ts';

/** The text of an answer as it becomes ready, or why there is none. A refusal is the last piece. */
export type ClientChunk =
  /** `last`: with it the answer is whole */
  | { kind: 'text'; text: string; last: boolean }
  /** keeps the connection alive and is no part of the answer */
  | { kind: 'blank' }
  | { kind: 'refusal'; refusal: ApiError };
