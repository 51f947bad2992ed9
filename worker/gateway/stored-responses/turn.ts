/** One request of the Responses API as a turn of a stored conversation: the interface between pipeline and store. */
import type { ApiError } from '../../http/api-error.ts';
import type { TurnHead } from '../dialects/turn-head.ts';
import type { ClientChunk } from '../stream/client-chunk.ts';

export interface Turn {
  readonly head: TurnHead;
  /** Names of the request's fields about storing that have no effect. */
  readonly ignored: readonly string[];
  /** Passes the chunks on and stores the response behind them, if it is whole. */
  record(chunks: AsyncGenerator<ClientChunk, void>): AsyncGenerator<ClientChunk, void>;
  /** An error in the body that was read in the client's, with the client's own indices of items. */
  ownError(error: ApiError): ApiError;
}

export type OpenedTurn =
  /** `body`: the request with the stored items that it refers to. */
  { ok: true; body: Record<string, unknown>; turn: Turn } | { ok: false; error: ApiError };
