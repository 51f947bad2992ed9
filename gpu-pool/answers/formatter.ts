/**
 * The formatters of answers, each in two parts: the agent writes the answer, and the edge writes its end, which has the usage
 * to bill and what it costs. All formatters are pure: chunks and times go in, and text comes out.
 */
import type { AnswerFormat, AnswerHead } from '../protocol/answer-format.ts';
import type { NodeChunk, NodeUsage } from '../protocol/schemas.ts';

/** The part of the last events that only the agent knows, which it tells the edge at the end of an answer as JSON. */
export type Tail = Readonly<Record<string, unknown>>;

/** The facts with which the agent's part of an answer closes. */
export interface Closing {
  /** The usage of what was delivered. */
  readonly usage: NodeUsage;
  readonly nowMs: number;
}

/** Writes an answer as server-sent events, up to its last ones. Every event includes its final blank line. */
export interface StreamFormatter {
  /** The events of a chunk, whose calls are in order (ordered-calls.ts); empty when it has nothing for the client. */
  chunk(chunk: NodeChunk): string;
  /**
   * A sign of life for a client whose idle timer counts events, not comments: an event that adds nothing to the answer. It is
   * empty before the first chunk, when the answer may still fail without having begun. Replays of the answer leave it out.
   */
  alive(): string;
  /** Closes what is open. */
  close(closing: Closing): { text: string; tail: Tail };
  /** How many events have been written. */
  readonly events: number;
}

/** Assembles an answer into one object. */
export interface WholeFormatter {
  /** Takes a chunk, whose calls are in order (ordered-calls.ts). */
  chunk(chunk: NodeChunk): void;
  /** The object, without the members of `endMembers`. */
  close(closing: Closing): object;
}

/** How an answer ended. */
export interface AnswerEnd {
  readonly usage: NodeUsage;
  readonly chargeNanoUsd: number;
  /** The limit that cut the answer off; null: none. */
  readonly ranOut: string | null;
}

/** An error as clients get it. */
export interface PublicError {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string;
}

/** The last events of a streamed answer that an agent's `StreamFormatter` has written. */
export interface StreamEnding {
  /**
   * @param tail of `close`
   * @param output JSON of the finished items of a response (output-items.ts); other dialects need none
   */
  end(end: AnswerEnd, tail: Tail, output?: readonly string[]): string;
  /** The events in place of `end` when the answer fails after something was sent. @param events written before */
  failed(error: PublicError, events: number): string;
}

/** The member that tells the client which limit cut its answer off and which of its fields were ignored, if any. */
export function tollgateMember({ ignored }: AnswerHead, ranOut: string | null) {
  if (ranOut === null && ignored.length === 0) return {};
  return {
    tollgate: {
      ...(ranOut === null ? {} : { stop: ranOut }),
      ...(ignored.length === 0 ? {} : { ignored }),
    },
  };
}

/** The part that all ids of a request's response have in common. @param secret null: it is not stored */
export function idSuffix(requestId: string, secret: string | null): string {
  return requestId.slice(requestId.indexOf('_') + 1) + (secret ?? '');
}

/** The part that all ids of an answer have in common. */
export function suffixOf({ head }: AnswerFormat): string {
  return idSuffix(head.request_id, head.turn?.secret ?? null);
}

/** One event without a name. `data` must hold no line break; JSON never does. */
export function sseEvent(data: string): string {
  return `data: ${data}\n\n`;
}

/** One event with a name. */
export function namedEvent(name: string, data: string): string {
  return `event: ${name}\ndata: ${data}\n\n`;
}
