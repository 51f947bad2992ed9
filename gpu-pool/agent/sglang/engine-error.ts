/**
 * Translates the engine's errors into errors of our own, by status alone. Its messages are never read: they quote what the
 * client wrote (names of tools, schemas, the template's own errors), so a client could write any word that they were
 * searched for, and they must not be passed on.
 */
import type { GenerateRequest } from '../../protocol/schemas.ts';
import type { RequestError } from '../request-error.ts';

/** Translates a status other than 200. */
export function fromStatus(status: number, retryAfter: string | undefined): RequestError {
  const error = fromCode(status);
  const retryAfterSeconds = parseRetryAfter(retryAfter);
  return error.code === 'overloaded' && retryAfterSeconds !== undefined
    ? { ...error, retryAfterSeconds }
    : error;
}

/**
 * Translates an error inside a 200 stream: `{"error": {"message", "type", "code": 503}}`, whose code is a status. A full
 * queue looks like this when streaming, and so does a grammar that cannot be compiled (serving_chat.py, abort with a status
 * code).
 */
export function fromErrorEvent(error: unknown): RequestError {
  const code = typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined;
  return fromCode(typeof code === 'number' ? code : 500);
}

/** Whether a status concerns the agent's own call, its keys and paths, in which no client has a part. */
export function isOperatorsMistake(status: number): boolean {
  return [401, 403, 404, 405, 407].includes(status);
}

function fromCode(status: number): RequestError {
  if (status === 429 || status === 503) return { code: 'overloaded', message: 'The engine’s queue is full.' };
  if (status >= 400 && status < 500 && !isOperatorsMistake(status))
    return { code: 'bad_request', message: 'The request is invalid.' };
  return { code: 'engine_failed', message: 'The engine failed.' };
}

/** The fields to check in a request that the engine refused, of those that it has: the end of a sentence, after a colon. */
export function whatToCheck(request: GenerateRequest): string {
  const { tools = [], response_format: format, messages, logit_bias: bias } = request;
  const checks = ['the prompt and max_tokens together fit the model’s context length'];
  // The edge has refused what SGLang 0.5.23 refuses; an older engine takes some schemas less.
  const held = [
    ...(tools.some((tool) => tool.function.strict) ? ['`tools`'] : []),
    ...(format?.type === 'json_schema' ? ['the answer’s format'] : []),
  ];
  if (held.length > 0) checks.push(`the schemas of ${held.join(' and of ')} use plain keywords and patterns`);
  if (bias !== undefined) checks.push('`logit_bias` has token ids of the model’s own vocabulary');
  if (messages !== undefined)
    checks.push('the messages come in an order that the model’s chat template takes');
  return `check that ${checks.join(', and that ')}.`;
}

/** Whole seconds from 1 to 300; dates and invalid values are dropped. */
function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined || !/^\d{1,3}$/.test(value)) return undefined;
  const seconds = Number(value);
  return seconds >= 1 && seconds <= 300 ? seconds : undefined;
}
