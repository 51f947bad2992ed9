/**
 * An answer that a node is sending, as bytes for the client with the agent's marks among them (gpu-pool/answers/marks.ts). An
 * agent that is too old to write those sends chunks, which the edge renders itself (rendered-answer.ts); behind this interface
 * both are the same.
 */
import type { NodeCalls } from './calls.ts';

export interface NodeAnswer {
  readonly body: ReadableStream<Uint8Array>;
  /** See `NodeCalls.extend`. */
  extend(heldNanoUsd: number): Promise<number | null>;
  /** Asks the engine to stop; the answer then ends with its exact usage. @throws when the node is out of reach */
  stop(): Promise<void>;
  /** Closes the connection, which the agent takes for an abort, too. The body breaks. */
  close(): void;
}

/** @param hangUp of the call that the response answers */
export function readyAnswer(
  body: ReadableStream<Uint8Array>,
  calls: NodeCalls,
  hangUp: AbortController,
): NodeAnswer {
  return {
    body,
    extend: (heldNanoUsd) => calls.extend(heldNanoUsd),
    stop: () => calls.abort(),
    close: () => hangUp.abort(),
  };
}
