/**
 * A dialect is a way to ask and to be answered: OpenAI's chat, Anthropic's messages … Between its two ends lies one
 * pipeline for all, which knows only the canonical request and the node's chunks.
 */
import type { NodeChunk } from '../../../gpu-pool/protocol/schemas.ts';
import type { HoldBound } from '../../domain/hold.ts';
import type { NanoUsd } from '../../domain/money.ts';
import type { Usage } from '../../domain/usage.ts';
import type { ApiError, ErrorEnvelope } from '../../http/api-error.ts';
import type { ChatRequest } from './chat-request.ts';

export interface Dialect {
  /** Unknown fields are ignored and never forwarded. */
  read(body: Record<string, unknown>, headers: Headers): ReadDialectRequest;
  /** What a refusal says on these routes. */
  errorBody(envelope: ErrorEnvelope, requestId: string): object;
}

export type ReadDialectRequest =
  | { ok: true; dialectRequest: DialectRequest }
  | { ok: false; error: ApiError };

/** A request, and how it wants to be answered. */
export interface DialectRequest {
  readonly request: ChatRequest;
  /** for `request.stream` */
  events(head: AnswerHead): AnswerEvents;
  /** for any other; one is made for each attempt */
  whole(head: AnswerHead): WholeAnswer;
}

/** What is known of an answer before it begins. */
export interface AnswerHead {
  /** `req_` and 26 characters */
  readonly requestId: string;
  readonly createdAtMs: number;
  readonly modelId: string;
  /** of the weights */
  readonly revision: string;
}

/** How an answer ended. */
export interface AnswerEnd {
  readonly usage: Usage;
  readonly charge: NanoUsd;
  /** what ran out in the middle: choices that the engine had not finished end with `length` */
  readonly ranOut: HoldBound | null;
}

/** An answer as server-sent events, each with its blank line. */
export interface AnswerEvents {
  /** The events for a chunk; empty when there is nothing to say. */
  chunk(chunk: NodeChunk): string;
  /** The last events; usage is among all events exactly once. */
  end(end: AnswerEnd): string;
  /** Instead of `end`: the answer broke off, or nothing but keep-alives has left yet. */
  failed(error: ErrorEnvelope['error']): string;
}

/** An answer as one object. */
export interface WholeAnswer {
  chunk(chunk: NodeChunk): void;
  end(end: AnswerEnd): object;
}
