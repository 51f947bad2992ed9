/**
 * Translates the engine's errors into errors of our own. Its messages can quote the prompt (template and tokenizer
 * errors do), so they are only classified and then dropped.
 */
import type { RequestError } from '../request-error.ts';

/**
 * Translates a status other than 200; `body` is SGLang's flat `{object: "error", message, type, code}` or anything.
 */
export function fromStatus(status: number, body: unknown, retryAfter: string | undefined): RequestError {
  const error = fromCode(status, messageOf(body));
  const retryAfterSeconds = parseRetryAfter(retryAfter);
  return error.code === 'overloaded' && retryAfterSeconds !== undefined
    ? { ...error, retryAfterSeconds }
    : error;
}

/**
 * Translates an error inside a 200 stream: `{"error": {"message", "type", "code": 503}}`. A full queue looks like
 * this when streaming (serving_chat.py, abort with a status code).
 */
export function fromErrorEvent(error: unknown): RequestError {
  const fields = typeof error === 'object' && error !== null ? (error as Record<string, unknown>) : {};
  return fromCode(Number(fields.code), messageOf(fields));
}

function fromCode(code: number, message: string): RequestError {
  if (code === 429 || code === 503 || /queue is full|too many requests|overloaded/i.test(message)) {
    return { code: 'overloaded', message: 'The engine’s queue is full.' };
  }
  // 401, 403 and 404 are the operator's mistakes (key, path, model), not the caller's.
  if (code === 400 || code === 413 || code === 422)
    return { code: 'bad_request', message: badRequestMessage(message) };
  return { code: 'engine_failed', message: 'The engine failed.' };
}

function badRequestMessage(message: string): string {
  if (/context length|longer than|too long|exceeds? the (model|max)/i.test(message)) {
    return 'The prompt and max_tokens together exceed the model’s context length.';
  }
  if (/grammar|schema|response_format|regex/i.test(message)) return 'This response_format is not supported.';
  if (/tool/i.test(message)) return 'These tools are not supported.';
  return 'The request is invalid.';
}

/** Whole seconds from 1 to 300; dates and invalid values are dropped. */
function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined || !/^\d{1,3}$/.test(value)) return undefined;
  const seconds = Number(value);
  return seconds >= 1 && seconds <= 300 ? seconds : undefined;
}

function messageOf(body: unknown): string {
  if (typeof body !== 'object' || body === null) return '';
  const { message, error } = body as { message?: unknown; error?: unknown };
  if (typeof message === 'string') return message;
  return error === undefined ? '' : messageOf(error);
}
