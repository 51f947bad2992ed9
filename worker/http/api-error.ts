/** Every error of the API: the facts it carries, and the tables that turn them into a status, headers and a message. */
import type { HoldBound } from '../domain/hold.ts';
import { isOfOtherMaker } from '../domain/model-alias.ts';
import { formatUsd, type NanoUsd } from '../domain/money.ts';
import type { PrincipalKind } from '../domain/principal-kind.ts';
import type { AdmitRefusal } from '../domain/wallet.ts';
import { ALWAYS, UNLESS_SET } from './safe-headers.ts';

export type ApiError =
  | AdmitRefusal
  | { reason: 'unauthenticated' }
  | { reason: 'conflicting_keys' }
  /** An operator suspended the account. `contact` is an e-mail address; null: none is configured. */
  | { reason: 'account_suspended'; contact: string | null }
  | { reason: 'not_for_this_key'; kind: PrincipalKind }
  | { reason: 'not_json'; message: string }
  | { reason: 'wrong_media_type' }
  | { reason: 'encoded_body' }
  | { reason: 'body_too_large'; limitBytes: number }
  | { reason: 'invalid_field'; param: string | null; message: string }
  /** `promptTokens`: as the node counted them, or the fewest that so many bytes can be. */
  | {
      reason: 'context_length_exceeded';
      param: string;
      model: string;
      contextTokens: number;
      promptTokens: number | { readonly atLeast: number };
    }
  | { reason: 'model_forbidden'; model: string }
  /** `requested` is the name that the client sent, unchecked. */
  | { reason: 'model_not_found'; requested: string; available: readonly string[] }
  /** `successor` is recommended in its place; null: none is. */
  | { reason: 'model_ended'; model: string; endedAtMs: number; successor: string | null }
  | { reason: 'request_not_found' }
  /** `id` is what the client sent, unchecked, or that of a response before it. */
  | { reason: 'previous_response_not_found'; id: string }
  | { reason: 'item_not_found'; id: string }
  | { reason: 'response_not_found'; id: string }
  | { reason: 'route_not_found' }
  /** A part of a copied API that is not offered: its name, and a sentence that says what is. */
  | { reason: 'not_offered'; what: string; instead: string }
  /** `allowed`: the methods of the path. */
  | { reason: 'method_not_allowed'; allowed: readonly string[] }
  | { reason: 'key_not_found' }
  | { reason: 'key_not_managed' }
  /** It is revoked or has expired. */
  | { reason: 'key_not_active' }
  | { reason: 'key_rotated'; successorId: string }
  | { reason: 'key_of_other_manager' }
  | { reason: 'file_not_found' }
  | { reason: 'file_in_use' }
  | { reason: 'storage_full'; filesMax: number; bytesMax: number }
  | { reason: 'batch_not_found' }
  | { reason: 'too_many_batches'; limit: number }
  | { reason: 'too_many_keys'; activeMax: number; madeMax: number }
  | { reason: 'alias_not_found' }
  | { reason: 'too_many_aliases'; limit: number }
  | { reason: 'model_not_available'; model: string }
  /** A limit of calls that generate nothing. `limit` says it in words; null: the counter is out of reach. */
  | { reason: 'too_many_calls'; limit: string | null; retryAfterMs: number }
  | { reason: 'overloaded'; retryAfterMs: number }
  | { reason: 'node_failed' }
  /** The node failed after a part of the answer was sent. */
  | { reason: 'broken_off' }
  | { reason: 'first_token_timeout'; deadlineMs: number }
  | { reason: 'idempotency_mismatch' }
  | { reason: 'idempotency_running'; retryAfterMs: number }
  | { reason: 'idempotency_exhausted' }
  | { reason: 'internal' };

interface Wire {
  readonly status: 400 | 401 | 402 | 403 | 404 | 405 | 409 | 413 | 415 | 422 | 429 | 500 | 502 | 503 | 504;
  readonly type: string;
  readonly code: string;
}

const WIRE = {
  unauthenticated: { status: 401, type: 'authentication_error', code: 'invalid_api_key' },
  conflicting_keys: { status: 400, type: 'invalid_request_error', code: 'conflicting_keys' },
  account_suspended: { status: 403, type: 'permission_error', code: 'account_suspended' },
  insufficient_balance: { status: 402, type: 'insufficient_balance', code: 'insufficient_balance' },
  key_cap_reached: { status: 402, type: 'insufficient_balance', code: 'key_cap_reached' },
  manager_cap_reached: { status: 402, type: 'insufficient_balance', code: 'manager_cap_reached' },
  token_cap_reached: { status: 402, type: 'insufficient_balance', code: 'token_cap_reached' },
  account_cap_reached: { status: 402, type: 'insufficient_balance', code: 'account_cap_reached' },
  held_by_requests: { status: 429, type: 'rate_limit_exceeded', code: 'held_by_requests' },
  not_for_this_key: { status: 403, type: 'permission_error', code: 'not_for_this_key' },
  model_forbidden: { status: 403, type: 'permission_error', code: 'model_not_allowed' },
  model_not_found: { status: 404, type: 'invalid_request_error', code: 'model_not_found' },
  model_ended: { status: 404, type: 'invalid_request_error', code: 'model_ended' },
  request_not_found: { status: 404, type: 'invalid_request_error', code: 'request_not_found' },
  // OpenAI's status and code, which its clients match
  previous_response_not_found: {
    ...{ status: 400, type: 'invalid_request_error', code: 'previous_response_not_found' },
  },
  item_not_found: { status: 404, type: 'invalid_request_error', code: 'item_not_found' },
  response_not_found: { status: 404, type: 'invalid_request_error', code: 'response_not_found' },
  not_offered: { status: 404, type: 'invalid_request_error', code: 'not_offered' },
  route_not_found: { status: 404, type: 'invalid_request_error', code: 'route_not_found' },
  method_not_allowed: { status: 405, type: 'invalid_request_error', code: 'method_not_allowed' },
  key_not_found: { status: 404, type: 'invalid_request_error', code: 'key_not_found' },
  key_not_managed: { status: 403, type: 'permission_error', code: 'key_not_managed' },
  key_not_active: { status: 409, type: 'invalid_request_error', code: 'key_not_active' },
  key_rotated: { status: 409, type: 'invalid_request_error', code: 'key_rotated' },
  key_of_other_manager: { status: 403, type: 'permission_error', code: 'key_of_other_manager' },
  file_not_found: { status: 404, type: 'invalid_request_error', code: 'file_not_found' },
  file_in_use: { status: 409, type: 'invalid_request_error', code: 'file_in_use' },
  storage_full: { status: 400, type: 'invalid_request_error', code: 'storage_full' },
  batch_not_found: { status: 404, type: 'invalid_request_error', code: 'batch_not_found' },
  too_many_batches: { status: 429, type: 'rate_limit_exceeded', code: 'too_many_batches' },
  too_many_keys: { status: 400, type: 'invalid_request_error', code: 'too_many_keys' },
  alias_not_found: { status: 404, type: 'invalid_request_error', code: 'alias_not_found' },
  too_many_aliases: { status: 400, type: 'invalid_request_error', code: 'too_many_aliases' },
  too_many_calls: { status: 429, type: 'rate_limit_exceeded', code: 'rate_limit_exceeded' },
  invalid_field: { status: 400, type: 'invalid_request_error', code: 'invalid_value' },
  context_length_exceeded: { status: 400, type: 'invalid_request_error', code: 'context_length_exceeded' },
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

/** The error body of OpenAI and DeepSeek. All four fields are always present. */
export interface ErrorEnvelope {
  readonly error: { message: string; type: string; param: string | null; code: string };
}

export function envelope(error: ApiError, origin: string): ErrorEnvelope {
  const { type, code } = WIRE[error.reason];
  const param = 'param' in error ? error.param : (PARAMS[error.reason] ?? null);
  return { error: { message: messageFor(error, origin), type, param, code } };
}

/** The field that an error is about, where it is always the same one. */
const PARAMS: Partial<Record<ApiError['reason'], string>> = {
  model_not_found: 'model',
  model_ended: 'model',
  previous_response_not_found: 'previous_response_id',
  item_not_found: 'input',
};

/** An error in OpenAI's envelope. @param origin where links in the message point, without a trailing slash */
export function errorResponse(error: ApiError, origin: string): Response {
  return errorResponseWith(error, envelope(error, origin));
}

/** An error with a body of another dialect. @param body the envelope as the dialect of the route writes it */
export function errorResponseWith(error: ApiError, body: object): Response {
  const headers = new Headers({ 'content-type': 'application/json', ...ALWAYS, ...UNLESS_SET });
  if (error.reason === 'method_not_allowed') headers.set('allow', error.allowed.join(', '));
  const { status } = WIRE[error.reason];
  const waitMs = retryAfterMs(error);
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

/** OpenAI's clients ignore a wait of more than 60 s and retry at once. */
const RETRY_AFTER_MS_MAX = 60_000;
/** Nodes send a heartbeat every 2 s, so by then the pool's state has been refreshed. */
const RETRY_SOON_MS = 2_000;

/** Milliseconds after which a retry can succeed; null: a retry cannot help. */
function retryAfterMs(error: ApiError): number | null {
  switch (error.reason) {
    case 'requests_per_minute':
    case 'tokens_per_minute':
    case 'concurrency':
    case 'held_by_requests':
    case 'too_many_calls':
    case 'overloaded':
    case 'idempotency_running':
      return Math.min(RETRY_AFTER_MS_MAX, error.retryAfterMs);
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

/** The error of a reason, with its facts. */
type ErrorOf<Reason extends ApiError['reason'], E = ApiError> = E extends { reason: infer Own }
  ? Reason extends Own
    ? E
    : never
  : never;
/** Writes the message of an error. @param origin where links point, without a trailing slash */
type MessageOf<Reason extends ApiError['reason']> = (error: ErrorOf<Reason>, origin: string) => string;

function messageFor(error: ApiError, origin: string): string {
  // TypeScript does not see that the function found by `error.reason` takes this very error
  return (MESSAGES[error.reason] as (error: ApiError, origin: string) => string)(error, origin);
}

/**
 * Each message says what happened, the limit or value concerned, and what to do next. Clients decide by some of these
 * words whether to shorten a conversation or to wait: tests/domain/client-errors.test.ts holds them against what each
 * client matches, and dialects/error-words.ts has what other dialects say in their place.
 */
const MESSAGES: { [Reason in ApiError['reason']]: MessageOf<Reason> } = {
  unauthenticated: (_, origin) =>
    `Missing or invalid API key. Send it as \`Authorization: Bearer sk-tg-…\`. Create a key at ${origin}/keys.`,
  conflicting_keys: () =>
    '`Authorization` and `x-api-key` hold different keys. Send only one of the two headers.',
  account_suspended: ({ contact }, origin) =>
    `This account is suspended, so its keys are refused. Its owner can ask ${contact ?? `the operator of ${origin}`} to resume it.`,
  not_for_this_key: ({ kind }, origin) => `${NOT_FOR[kind]} ${origin}/keys.`,
  insufficient_balance: ({ requiredNanoUsd, availableNanoUsd }, origin) =>
    `Insufficient balance: this request needs at least $${formatUsd(requiredNanoUsd)}, and $${formatUsd(availableNanoUsd)} is available. Top up at ${origin}/billing.`,
  key_cap_reached: (error, origin) =>
    `Key cap reached: ${usedOfCap(error)}. ${resetSentence(error)} Raise the cap or use another key: ${origin}/keys.`,
  manager_cap_reached: (error, origin) =>
    `Cap of the management key reached, which all keys that it made share: ${usedOfCap(error)}. ${resetSentence(error)} Use a key of another management key, or one made in the portal: ${origin}/keys.`,
  account_cap_reached: (error, origin) =>
    `Account cap reached: ${usedOfCap(error)}. ${resetSentence(error)} The account’s owner can raise it at ${origin}/alerts.`,
  token_cap_reached: (error) =>
    `Token cap reached: ${usedOfCap(error)}. Request a new token from your server.`,
  held_by_requests: ({ bound, limitNanoUsd, spentNanoUsd, heldNanoUsd, retryAfterMs }) =>
    `Requests that are running hold the rest of ${HELD[bound]}: of $${formatUsd(limitNanoUsd)}, $${formatUsd(heldNanoUsd)} is held${bound === 'insufficient_balance' ? '' : ` and $${formatUsd(spentNanoUsd)} is spent`}. What they do not use comes back. Try again in ${seconds(retryAfterMs)}, or run fewer requests at once.`,
  requests_per_minute: ({ scope, limit, retryAfterMs }) =>
    `Rate limit exceeded: this ${scope} allows ${limit} requests per minute. Try again in ${seconds(retryAfterMs)}.`,
  tokens_per_minute: ({ scope, limit, used, wanted, retryAfterMs }) =>
    `Rate limit exceeded: this ${scope} allows ${limit} tokens per minute. ${used} are used or in flight, and this request needs about ${wanted}. Try again in ${seconds(retryAfterMs)}.`,
  concurrency: ({ scope, limit, retryAfterMs }) =>
    `Rate limit exceeded: this ${scope} allows ${limit} requests in flight. Try again in ${seconds(retryAfterMs)}, or when one has finished.`,
  model_forbidden: ({ model }, origin) =>
    `This key is not allowed to use ${model}. Allow the model for this key, or use another key: ${origin}/keys.`,
  model_not_found: ({ requested, available }, origin) => {
    const what = isModelName(requested) ? `model \`${requested}\`` : 'requested model';
    const hint = isOfOtherMaker(requested)
      ? ` To have this name answered by a model of your choice, make it an alias: ${origin}/aliases.`
      : '';
    return `The ${what} does not exist or you do not have access to it. Available: ${available.join(', ')}.${hint}`;
  },
  model_ended: ({ model, endedAtMs, successor }, origin) =>
    `${model} ended on ${new Date(endedAtMs).toISOString()} and is answered by no other model. ${successor === null ? `Choose another: ${origin}/pricing.` : `Use ${successor} in its place.`}`,
  request_not_found: () =>
    'Request not found in this account. Request ids are in the `x-request-id` header of every response.',
  previous_response_not_found: ({ id }) => `Previous response with id '${shownId(id)}' not found.`,
  item_not_found: ({ id }) =>
    `Item with id '${shownId(id)}' not found. Items are not persisted when \`store\` is set to false. Try again with \`store\` set to true, or remove this item from your input.`,
  response_not_found: ({ id }) => `Response with id '${shownId(id)}' not found.`,
  not_offered: ({ what, instead }, origin) =>
    `${what}: not offered here. ${instead}. The API is described at ${origin}/docs.`,
  route_not_found: (_, origin) => `Route not found. The API is described at ${origin}/docs.`,
  method_not_allowed: ({ allowed }, origin) =>
    `This path does not take this method. It takes ${allowed.join(', ')}. The API is described at ${origin}/docs.`,
  key_not_found: () => 'Key not found in this account. List the keys with GET /v1/keys.',
  key_not_managed: (_, origin) =>
    `Management keys can be changed and revoked only in the portal: ${origin}/keys.`,
  key_not_active: () =>
    'This key is revoked or has expired, which is final. Create a new key with POST /v1/keys.',
  key_rotated: ({ successorId }) =>
    `This key has been rotated: it ends with its overlap. Change or rotate its successor, ${successorId}.`,
  key_of_other_manager: (_, origin) =>
    `This key shares the cap of another management key. Rotate it with that one, or in the portal: ${origin}/keys.`,
  file_not_found: () =>
    'File not found in this account, or it has expired. List the files with GET /v1/files.',
  file_in_use: () =>
    'A batch is still reading this file. Cancel the batch or wait for it to finish, then delete the file.',
  storage_full: ({ filesMax, bytesMax }) =>
    `File storage is full: an account can keep ${filesMax} files and ${bytesMax} bytes. Delete files with DELETE /v1/files/{id}.`,
  batch_not_found: () => 'Batch not found in this account. List the batches with GET /v1/batches.',
  too_many_batches: ({ limit }) =>
    `Batch limit reached: an account can have ${limit} unfinished batches. Wait for one to finish, or put more lines into each.`,
  too_many_keys: ({ activeMax, madeMax }) =>
    `This account has as many keys as it can have: ${activeMax} active ones, and ${madeMax} ever made. Revoke keys with DELETE /v1/keys/{id}.`,
  alias_not_found: () => 'Alias not found in this account. List the aliases with GET /v1/aliases.',
  too_many_aliases: ({ limit }) =>
    `This account has ${limit} aliases, as many as it can have. Remove one with DELETE /v1/aliases/{name}.`,
  too_many_calls: ({ limit, retryAfterMs }, origin) =>
    `Rate limit exceeded${limit === null ? '' : `: ${limit}`}. Try again in ${seconds(retryAfterMs)}. All limits: ${origin}/docs.`,
  invalid_field: ({ message }) => message,
  context_length_exceeded: ({ param, contextTokens, promptTokens, ...rest }) =>
    `This model's maximum context length is ${contextTokens} tokens. However, your ${param} resulted in ${countOf(promptTokens)} tokens. Please reduce the length of the ${param}. ${uncharged(rest)}`,
  not_json: ({ message }) => message,
  body_too_large: ({ limitBytes }) =>
    `The request body exceeds the limit of ${limitBytes} bytes. Send less in one request.`,
  encoded_body: () =>
    'Compressed request bodies are not supported. Send the body uncompressed, without `Content-Encoding`.',
  wrong_media_type: () =>
    'The request body must be JSON. Send it with the header `Content-Type: application/json`.',
  model_not_available: ({ model }) =>
    `No node is serving ${model} right now. Nothing was charged; try again shortly.`,
  overloaded: ({ retryAfterMs }) =>
    `All nodes are busy. Nothing was charged; try again in ${seconds(retryAfterMs)}.`,
  node_failed: () => 'The node that served this request failed. Nothing was charged; try again.',
  broken_off: () =>
    'The node failed in the middle of the response. Only the tokens you received were charged; try again.',
  first_token_timeout: ({ deadlineMs }) =>
    `No node returned a first token within ${deadlineMs / 1000} s. Nothing was charged; try again.`,
  idempotency_mismatch: () =>
    'This Idempotency-Key was already used for a different request. Repeat the original request unchanged and with the same API key, or use a new Idempotency-Key.',
  idempotency_running: ({ retryAfterMs }) =>
    `The request with this Idempotency-Key is still running. Try again in ${seconds(retryAfterMs)} to receive its response, which is charged only once.`,
  idempotency_exhausted: () =>
    'The response to this Idempotency-Key was lost too many times before it was complete. Use a new Idempotency-Key.',
  internal: () =>
    'Internal error. Try again; if it persists, report the request id (`x-request-id`). Any charge for it is shown at GET /v1/generations/{id}.',
};

/** Each ends before the link to the keys page. */
const NOT_FOR: Record<PrincipalKind, string> = {
  inference: 'This route needs a management key, and this is an inference key. Create a management key at',
  management:
    'A management key can only manage keys and aliases. Use an inference key for this route, or create one at',
  token:
    'A short-lived token can only be used for inference. Call this route from your server with an API key:',
};

/** A message repeats only what looks like a model's name; other input of a client is never reflected. */
export function isModelName(requested: string): boolean {
  return /^[a-z0-9][\w.:/-]{0,63}$/i.test(requested);
}

/** The end of every message about a prompt that is too long. */
export function uncharged({ model }: { model: string }): string {
  return `Tools and the chat template of ${model} are counted. Nothing was charged.`;
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1000)} s`;
}

export function countOf(tokens: number | { readonly atLeast: number }): string {
  return typeof tokens === 'number' ? String(tokens) : `at least ${tokens.atLeast}`;
}

/** The limits whose room running requests hold. */
const HELD: Record<HoldBound, string> = {
  insufficient_balance: 'the balance',
  key_cap_reached: 'the key’s cap',
  manager_cap_reached: 'the cap of the management key, which all keys that it made share',
  account_cap_reached: 'the account’s cap',
  token_cap_reached: 'the token’s cap',
};

function usedOfCap({ usedNanoUsd, capNanoUsd }: { usedNanoUsd: NanoUsd; capNanoUsd: NanoUsd }): string {
  return `$${formatUsd(usedNanoUsd)} of $${formatUsd(capNanoUsd)} is used or held`;
}

function resetSentence({ resetAtMs }: { resetAtMs: number | null }): string {
  return resetAtMs === null
    ? 'The cap does not reset.'
    : `The cap resets at ${new Date(resetAtMs).toISOString()}.`;
}

/** An id that a client sent, as far as it looks like one. */
function shownId(id: string): string {
  return /^[\w-]{1,80}$/.test(id) ? id : '…';
}
