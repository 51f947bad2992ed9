/** Every refusal of the API: the facts it carries, and one table that makes them a status, headers and an envelope. */
import { formatUsd } from '../domain/money.ts';
import type { PrincipalKind } from '../domain/principal-kind.ts';
import type { AdmitRefusal } from '../domain/wallet.ts';

export type ApiError =
  | AdmitRefusal
  | { reason: 'unauthenticated' }
  | { reason: 'conflicting_keys' }
  /** by an operator; `contact` is an e-mail address, null: none is configured */
  | { reason: 'account_suspended'; contact: string | null }
  | { reason: 'not_for_this_key'; kind: PrincipalKind }
  | { reason: 'not_json'; message: string }
  | { reason: 'wrong_media_type' }
  | { reason: 'encoded_body' }
  | { reason: 'body_too_large'; limitBytes: number }
  | { reason: 'invalid_field'; param: string | null; message: string }
  | { reason: 'model_forbidden'; model: string }
  | { reason: 'model_not_found'; available: readonly string[] }
  | { reason: 'request_not_found' }
  | { reason: 'route_not_found' }
  | { reason: 'key_not_found' }
  | { reason: 'key_not_managed' }
  | { reason: 'file_not_found' }
  | { reason: 'file_in_use' }
  | { reason: 'storage_full' }
  | { reason: 'batch_not_found' }
  | { reason: 'too_many_batches'; limit: number }
  | { reason: 'model_not_available'; model: string }
  | { reason: 'overloaded'; retryAfterMs: number }
  | { reason: 'node_failed' }
  /** a part of the answer has left already */
  | { reason: 'broken_off' }
  | { reason: 'first_token_timeout'; deadlineMs: number }
  | { reason: 'idempotency_mismatch' }
  | { reason: 'idempotency_running'; retryAfterMs: number }
  | { reason: 'idempotency_exhausted' }
  | { reason: 'internal' };

interface Wire {
  readonly status: 400 | 401 | 402 | 403 | 404 | 409 | 413 | 415 | 422 | 429 | 500 | 502 | 503 | 504;
  readonly type: string;
  readonly code: string;
}

const WIRE = {
  unauthenticated: { status: 401, type: 'authentication_error', code: 'invalid_api_key' },
  conflicting_keys: { status: 400, type: 'invalid_request_error', code: 'conflicting_keys' },
  account_suspended: { status: 403, type: 'permission_error', code: 'account_suspended' },
  insufficient_balance: { status: 402, type: 'insufficient_balance', code: 'insufficient_balance' },
  key_cap_reached: { status: 402, type: 'insufficient_balance', code: 'key_cap_reached' },
  token_cap_reached: { status: 402, type: 'insufficient_balance', code: 'token_cap_reached' },
  account_cap_reached: { status: 402, type: 'insufficient_balance', code: 'account_cap_reached' },
  not_for_this_key: { status: 403, type: 'permission_error', code: 'not_for_this_key' },
  model_forbidden: { status: 403, type: 'permission_error', code: 'model_not_allowed' },
  model_not_found: { status: 404, type: 'invalid_request_error', code: 'model_not_found' },
  request_not_found: { status: 404, type: 'invalid_request_error', code: 'request_not_found' },
  route_not_found: { status: 404, type: 'invalid_request_error', code: 'route_not_found' },
  key_not_found: { status: 404, type: 'invalid_request_error', code: 'key_not_found' },
  key_not_managed: { status: 403, type: 'permission_error', code: 'key_not_managed' },
  file_not_found: { status: 404, type: 'invalid_request_error', code: 'file_not_found' },
  file_in_use: { status: 409, type: 'invalid_request_error', code: 'file_in_use' },
  storage_full: { status: 400, type: 'invalid_request_error', code: 'storage_full' },
  batch_not_found: { status: 404, type: 'invalid_request_error', code: 'batch_not_found' },
  too_many_batches: { status: 429, type: 'rate_limit_exceeded', code: 'too_many_batches' },
  invalid_field: { status: 400, type: 'invalid_request_error', code: 'invalid_value' },
  not_json: { status: 400, type: 'invalid_request_error', code: 'invalid_json' },
  body_too_large: { status: 413, type: 'invalid_request_error', code: 'body_too_large' },
  encoded_body: { status: 415, type: 'invalid_request_error', code: 'unsupported_encoding' },
  wrong_media_type: { status: 415, type: 'invalid_request_error', code: 'unsupported_media_type' },
  requests_per_minute: { status: 429, type: 'rate_limit_exceeded', code: 'requests_per_minute' },
  tokens_per_minute: { status: 429, type: 'rate_limit_exceeded', code: 'tokens_per_minute' },
  concurrency: { status: 429, type: 'rate_limit_exceeded', code: 'concurrency' },
  idempotency_running: { status: 409, type: 'idempotency_error', code: 'idempotency_running' },
  idempotency_exhausted: { status: 409, type: 'idempotency_error', code: 'idempotency_exhausted' },
  idempotency_mismatch: { status: 422, type: 'idempotency_error', code: 'idempotency_mismatch' },
  internal: { status: 500, type: 'server_error', code: 'internal_error' },
  node_failed: { status: 502, type: 'server_error', code: 'node_failed' },
  broken_off: { status: 502, type: 'server_error', code: 'node_failed' },
  model_not_available: { status: 503, type: 'overloaded', code: 'model_not_available' },
  overloaded: { status: 503, type: 'overloaded', code: 'overloaded' },
  first_token_timeout: { status: 504, type: 'timeout', code: 'first_token_timeout' },
} satisfies Record<ApiError['reason'], Wire>;

/** The OpenAI and DeepSeek envelope; all four fields are always there. */
export interface ErrorEnvelope {
  readonly error: { message: string; type: string; param: string | null; code: string };
}

export function envelope(refusal: ApiError, origin: string): ErrorEnvelope {
  const { type, code } = WIRE[refusal.reason];
  const param =
    refusal.reason === 'invalid_field'
      ? refusal.param
      : refusal.reason === 'model_not_found'
        ? 'model'
        : null;
  return { error: { message: messageFor(refusal, origin), type, param, code } };
}

/** A refusal in OpenAI's envelope. @param origin where links in messages point, without a trailing slash */
export function errorResponse(refusal: ApiError, origin: string): Response {
  return errorResponseWith(refusal, envelope(refusal, origin));
}

/** @param body the envelope in the dialect of the route */
export function errorResponseWith(refusal: ApiError, body: object): Response {
  const headers = new Headers({ 'content-type': 'application/json' });
  const { status } = WIRE[refusal.reason];
  const waitMs = retryAfterMs(refusal);
  if (waitMs === null) headers.set('x-should-retry', 'false');
  else {
    headers.set('retry-after', String(Math.ceil(waitMs / 1000)));
    headers.set('retry-after-ms', String(waitMs));
  }
  return new Response(JSON.stringify(body), { status, headers });
}

export function statusOf({ reason }: ApiError): number {
  return WIRE[reason].status;
}

/** OpenAI's clients ignore a wait of more than 60 s and hammer instead. */
const RETRY_AFTER_MS_MAX = 60_000;
/** Long enough for a heartbeat to bring news of a node. */
const RETRY_SOON_MS = 2_000;

/** When asking again can help, in ms; null: it cannot. */
function retryAfterMs(refusal: ApiError): number | null {
  switch (refusal.reason) {
    case 'requests_per_minute':
    case 'tokens_per_minute':
    case 'concurrency':
    case 'overloaded':
    case 'idempotency_running':
      return Math.min(RETRY_AFTER_MS_MAX, refusal.retryAfterMs);
    case 'too_many_batches':
      return RETRY_AFTER_MS_MAX;
    case 'model_not_available':
    case 'node_failed':
    case 'broken_off':
    case 'internal':
    case 'first_token_timeout':
      return RETRY_SOON_MS;
    default:
      return null;
  }
}

function messageFor(refusal: ApiError, origin: string): string {
  switch (refusal.reason) {
    case 'unauthenticated':
      return `The API key is missing or not valid. Send it as \`Authorization: Bearer sk-tg-…\`; make one at ${origin}/keys.`;
    case 'conflicting_keys':
      return '`Authorization` and `x-api-key` hold different keys. Send one of them.';
    case 'account_suspended':
      return `This account is suspended: its keys are refused until it is resumed. Its owner asks the operator why: ${refusal.contact ?? origin}.`;
    case 'not_for_this_key':
      return `${NOT_FOR[refusal.kind]} ${origin}/keys.`;
    case 'insufficient_balance':
      return `The balance is too low: this request needs at least $${formatUsd(refusal.requiredNanoUsd)}, $${formatUsd(refusal.availableNanoUsd)} is available. Top up at ${origin}/billing.`;
    case 'key_cap_reached':
      return `This key has reached its cap: $${formatUsd(refusal.usedNanoUsd)} of $${formatUsd(refusal.capNanoUsd)} used or held. ${resetSentence(refusal.resetAtMs)} Raise the cap or use another key: ${origin}/keys.`;
    case 'account_cap_reached':
      return `This account has reached its cap: $${formatUsd(refusal.usedNanoUsd)} of $${formatUsd(refusal.capNanoUsd)} used or held. ${resetSentence(refusal.resetAtMs)} Its owner can raise it: ${origin}/alerts.`;
    case 'token_cap_reached':
      return `This token has reached its cap: $${formatUsd(refusal.usedNanoUsd)} of $${formatUsd(refusal.capNanoUsd)} used or held. Ask your server for another one.`;
    case 'requests_per_minute':
      return `This ${refusal.scope} may start ${refusal.limit} requests a minute, and has. Try again in ${seconds(refusal)}.`;
    case 'tokens_per_minute':
      return `This ${refusal.scope} may use ${refusal.limit} tokens a minute: ${refusal.used} are used or in flight, and this request takes about ${refusal.wanted}. Try again in ${seconds(refusal)}.`;
    case 'concurrency':
      return `This ${refusal.scope} may have ${refusal.limit} requests in flight at once, and has. Try again when one has ended.`;
    case 'model_forbidden':
      return `This key may not use ${refusal.model}. Allow the model for the key, or use another key: ${origin}/keys.`;
    case 'model_not_found':
      return `There is no such model here. Available: ${refusal.available.join(', ')}.`;
    case 'request_not_found':
      return 'No request with this id belongs to this account. Ids are in the `x-request-id` header of every answer.';
    case 'route_not_found':
      return `There is no such route. The API is described at ${origin}/.`;
    case 'key_not_found':
      return 'No key with this id belongs to this account. GET /v1/keys lists them.';
    case 'key_not_managed':
      return `A management key is changed and revoked by its owner alone: ${origin}/keys.`;
    case 'file_not_found':
      return 'No file with this id belongs to this account, or it has expired. GET /v1/files lists them.';
    case 'file_in_use':
      return 'A batch still reads this file. Cancel the batch, or wait for its end, and delete the file then.';
    case 'storage_full':
      return 'This account keeps as many files here as it may. Delete some: DELETE /v1/files/{id}.';
    case 'batch_not_found':
      return 'No batch with this id belongs to this account. GET /v1/batches lists them.';
    case 'too_many_batches':
      return `This account has ${refusal.limit} batches that have not ended. Wait for one to end, or put more lines into each.`;
    case 'invalid_field':
      return refusal.message;
    case 'not_json':
      return refusal.message;
    case 'body_too_large':
      return `The body is larger than ${refusal.limitBytes} bytes. Send a shorter conversation.`;
    case 'encoded_body':
      return 'The body must be sent uncompressed: leave out `Content-Encoding`.';
    case 'wrong_media_type':
      return 'The body must be JSON: send the header `Content-Type: application/json`.';
    case 'model_not_available':
      return `No node serves ${refusal.model} right now. Nothing was charged; try again shortly.`;
    case 'overloaded':
      return 'All nodes are busy. Nothing was charged; try again shortly.';
    case 'node_failed':
      return 'The node that worked on this request failed. Nothing was charged; try again.';
    case 'broken_off':
      return 'The node failed in the middle of the answer. Only what you received was charged; try again.';
    case 'first_token_timeout':
      return `No node gave a first token within ${refusal.deadlineMs / 1000} s. Nothing was charged; try again.`;
    case 'idempotency_mismatch':
      return 'This Idempotency-Key was used for another request. Repeat a request unchanged and with the same API key, or use a new Idempotency-Key.';
    case 'idempotency_running':
      return 'The request with this Idempotency-Key is still running. Ask again shortly; its answer will be sent again and not be charged twice.';
    case 'idempotency_exhausted':
      return 'The answers to this Idempotency-Key were lost too often, each time before they were complete. Use a new Idempotency-Key.';
    case 'internal':
      return 'Something went wrong on our side. Try again, and report the request id (`x-request-id`) if it persists; what a request cost is at /v1/generations/{id}.';
  }
}

const NOT_FOR: Record<PrincipalKind, string> = {
  inference: 'This key asks models for answers. Keys are managed with a management key: make one at',
  management: 'A management key manages keys and does nothing else. Use or make another key for this:',
  token: 'A short-lived token can only ask models for answers. Use the key that made it, from your server:',
};

function seconds({ retryAfterMs }: { retryAfterMs: number }): string {
  return `${Math.ceil(retryAfterMs / 1000)} s`;
}

function resetSentence(resetAtMs: number | null): string {
  return resetAtMs === null ? 'It does not reset.' : `It resets at ${new Date(resetAtMs).toISOString()}.`;
}
