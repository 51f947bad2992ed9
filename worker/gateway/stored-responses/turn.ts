/** One request of the Responses API as a turn of a stored conversation: the interface between pipeline and store. */
import type { ApiError } from '../../http/api-error.ts';
import type { TurnHead } from '../dialects/turn-head.ts';

export interface Turn {
  readonly head: TurnHead;
  /** Names of the request's fields about storing that have no effect. */
  readonly ignored: readonly string[];
  /** Stores the response, once the client has it. Null: it is not to be stored. */
  readonly keep: ((response: object) => void) | null;
  /** An error in the body that was read in the client's, with the client's own indices of items. */
  ownError(error: ApiError): ApiError;
}

export type OpenedTurn =
  /** `body`: the request with the stored items that it refers to. */
  { ok: true; body: Record<string, unknown>; turn: Turn } | { ok: false; error: ApiError };
