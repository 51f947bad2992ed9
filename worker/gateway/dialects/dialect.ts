/**
 * A dialect is one provider's format of requests and answers, such as OpenAI's chat or Anthropic's messages. One pipeline
 * between its two ends serves all dialects; it works only with the canonical request and the node's chunks.
 */
import type { AnswerFormat } from '../../../gpu-pool/protocol/answer-format.ts';
import { type ApiError, type ErrorEnvelope, envelope } from '../../http/api-error.ts';
import type { ChatRequest, ModelRequest } from './chat-request.ts';
import type { TurnHead } from './turn-head.ts';

export interface Dialect {
  /** Reads a request body. Unknown fields are never forwarded; `request.ignored` names them. */
  read(body: Record<string, unknown>, headers: Headers): ReadDialectRequest;
  /** The words by which the dialect's clients recognize an error, where they are not those of OpenAI's chat. */
  words?(error: ApiError): ErrorWords;
  /** The body of an error response on the dialect's routes. */
  errorBody(envelope: ErrorEnvelope, requestId: string): object;
}

/** The part of an error that a dialect words its own way. */
export interface ErrorWords {
  readonly code?: string;
  readonly message?: string;
  /** A sentence before our own message. */
  readonly lead?: string;
}

/** The error as the dialect says it. @param origin where links in the message point, without a trailing slash */
export function envelopeIn(dialect: Pick<Dialect, 'words'>, error: ApiError, origin: string): ErrorEnvelope {
  const { error: own } = envelope(error, origin);
  const { lead, code = own.code, message = own.message } = dialect.words?.(error) ?? {};
  return { error: { ...own, code, message: lead === undefined ? message : `${lead} ${message}` } };
}

export type ReadDialectRequest =
  | { ok: true; dialectRequest: DialectRequest }
  | { ok: false; error: ApiError };

/** A request with the form of its answer. */
export interface DialectRequest {
  readonly request: ChatRequest;
  readonly form: AnswerForm;
}

/** How the client wants its answer, as far as its dialect alone decides. */
export type AnswerForm = DistributiveOmit<AnswerFormat, keyof CommonFormat>;
type CommonFormat = Pick<AnswerFormat, 'stream' | 'head' | 'choices' | 'exclude_reasoning' | 'calls_max'>;
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** A request with the form of its answer, once its model is known. */
export interface DialectModelRequest extends DialectRequest {
  readonly request: ModelRequest;
}

/** How the client wants its answer, as the agent and the formatters take it. */
export function answerFormat({ request, form }: DialectRequest, head: AnswerHead): AnswerFormat {
  const { requestId, createdAtMs, modelId, revision, ignored, turn } = head;
  return {
    ...form,
    stream: request.stream,
    head: {
      request_id: requestId,
      created_at_ms: createdAtMs,
      model: modelId,
      revision,
      ignored: [...ignored],
      ...(turn && {
        turn: { previous_response_id: turn.previousResponseId, secret: turn.secret },
      }),
    },
    choices: request.choices,
    ...(request.reasoning?.exclude && { exclude_reasoning: true as const }),
    // An agent ends a choice behind its only call; one that is too old for it goes on.
    ...(request.generate.parallel_tool_calls === false && { calls_max: 1 }),
  };
}

/** The facts about an answer that are known before it begins. */
export interface AnswerHead {
  /** `req_` and 26 characters. */
  readonly requestId: string;
  readonly createdAtMs: number;
  readonly modelId: string;
  /** The revision of the model's weights. */
  readonly revision: string;
  /** Names of the request's fields that had no effect. */
  readonly ignored: readonly string[];
  /** The turn of a stored conversation; absent: nothing is stored, nor has been. */
  readonly turn?: TurnHead | undefined;
}
