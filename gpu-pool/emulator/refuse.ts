/** Refusals that come after a request was read: of a full queue, and of what the engine cannot do. */
import type { AnswerWriter } from './answer-writer.ts';
import { flatError, streamError, type UsageOptions, usageChunk, usageOf } from './openai-shape.ts';
import type { ChatRequest } from './request.ts';

const QUEUE_FULL = 'The request queue is full.';

/**
 * Refuses a request because the queue is full. With streaming the status is out before the scheduler refuses, so it
 * is a 200 whose first event is an error (serving_chat.py); without, it is an HTTPException whose type is the
 * status (http_server.py).
 */
export function queueFull(
  writer: AnswerWriter,
  { message = QUEUE_FULL, asked }: { message?: string; asked?: Asked },
): void {
  // No token was computed, not even one of the prompt.
  if (asked?.request.stream)
    failStream(writer, { message, code: 503, type: 'SERVICE_UNAVAILABLE' }, { asked, tokens: 0 });
  else writer.json(503, flatError({ message, code: 503, type: '503' }));
}

/** A parsed request, for answers to it that no token precedes. */
export interface Asked {
  request: ChatRequest;
  rid: string;
  usage: UsageOptions;
}

/**
 * Refuses what the engine cannot do. With streaming the status is out before the scheduler refuses, so that its refusal
 * is a 200 whose first event is an error.
 */
export function refuse(
  writer: AnswerWriter,
  { message, by }: { message: string; by: 'tokenizer' | 'scheduler' },
  asked: Asked,
): void {
  // The scheduler answers in place of the prompt with a single token, and counts one more as generated.
  if (asked.request.stream && by === 'scheduler')
    failStream(writer, { message, type: 'BAD_REQUEST', code: 400 }, { asked, tokens: 1 });
  else writer.json(400, flatError({ message, type: 'BadRequestError', code: 400 }));
}

/** An error inside a stream, which goes on to its usage and its end. */
function failStream(
  writer: AnswerWriter,
  error: { message: string; code: number; type: string },
  { asked: { request, rid, usage }, tokens }: { asked: Asked; tokens: 0 | 1 },
): void {
  writer.event(streamError(error) as object);
  if (request.includeUsage) {
    const counts = {
      promptTokens: tokens,
      cachedTokens: 0,
      completionTokens: tokens,
      reasoningTokens: tokens,
    };
    const envelope = { ids: [rid], created: Math.floor(Date.now() / 1_000), model: request.model };
    writer.event(usageChunk(envelope, usageOf(counts, usage)));
  }
  writer.finishStream();
}
