/**
 * Counts the tokens of a prompt by the engine's own tokenizer and chat template, without generating anything. It is no
 * request: it has no place in the queue, leaves no receipt, and a failure says nothing of the engine's health.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type CountAnswer, GenerateRequest } from '../protocol/schemas.ts';
import { readJsonBody } from './body.ts';
import type { GenerateContext } from './generate-context.ts';
import { isRequestError, type RequestError, sendError, sendJson } from './request-error.ts';
import { answerPrefix, continuedPrompt } from './sglang/continuation.ts';
import { countOrRefusal } from './sglang/tokenize.ts';

/**
 * Counts at a time. The engine tokenizes in the process that also passes on the tokens of running answers, about a megabyte
 * a second, so a count never waits behind more than one other, and requests that are paid for come first.
 */
const COUNTS_MAX = 2;
/** When a count that found no place may be tried again: most take milliseconds. */
const RETRY_SECONDS = 1;

const counting = new WeakMap<GenerateContext['engine'], number>();

export async function count(
  context: GenerateContext,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const result = await countAtEngine(context, req);
  if (isRequestError(result)) sendError(res, result);
  else sendJson(res, 200, result);
}

async function countAtEngine(
  context: GenerateContext,
  req: IncomingMessage,
): Promise<CountAnswer | RequestError> {
  const { engine, watch } = context;
  const token = await context.verifyToken(req.headers);
  if (isRequestError(token)) return token;
  if (!context.serving()) return { code: 'overloaded', message: 'This node accepts no new requests.' };
  if (!watch.healthy) return { code: 'engine_failed', message: 'This node’s engine is unhealthy.' };
  const body = await readJsonBody(req);
  if (isRequestError(body)) return body;
  const request = GenerateRequest.safeParse(body.json);
  if (!request.success)
    return { code: 'bad_request', message: 'The request body does not follow the protocol.' };
  const running = counting.get(engine) ?? 0;
  if (running >= COUNTS_MAX)
    return {
      code: 'overloaded',
      message: 'This node is counting already.',
      retryAfterSeconds: RETRY_SECONDS,
    };
  counting.set(engine, running + 1);
  try {
    const counted = await countedPrompt(context, request.data);
    if (counted !== null && typeof counted === 'object') return counted;
    if (counted === 'refused')
      return { code: 'bad_request', message: 'The engine cannot make a prompt of this request.' };
    if (counted === null) return { code: 'engine_failed', message: 'The engine gave no count.' };
    return { prompt_tokens: counted };
  } finally {
    counting.set(engine, (counting.get(engine) ?? 1) - 1);
  }
}

/** A prompt that ends in a begun answer is counted as it would be made. */
async function countedPrompt(
  { engine, watch }: GenerateContext,
  request: GenerateRequest,
): Promise<number | 'refused' | null | RequestError> {
  const modelPath = watch.info.model_path;
  const prefix = answerPrefix(request);
  if (prefix === null) return countOrRefusal(engine, request, modelPath);
  const thinks = watch.parsers.reasoning !== null;
  const ids = await continuedPrompt(engine, request, { prefix, modelPath, thinks });
  return isRequestError(ids) ? ids : ids.length;
}
