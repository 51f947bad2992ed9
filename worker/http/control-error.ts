/**
 * Every error of the fleet's and the operator's routes: status, type and message, which says what to do next, in one
 * table.
 */
import type { Context } from 'hono';

const CONTROL_ERRORS = {
  body_too_large: [413, 'invalid_request_error', 'The request body is too large. Send less in one request.'],
  rate_limited: [429, 'rate_limit_exceeded', 'Too many requests. Try again after the time in `Retry-After`.'],
  body_invalid: [400, 'invalid_request_error', 'The request body is invalid.'],
  operator_token_invalid: [
    401,
    'authentication_error',
    'Missing or invalid operator token. Send it as `Authorization: Bearer TOKEN`.',
  ],
  operator_scope_missing: [
    403,
    'permission_error',
    'This token may not call this route. Use one with the scope that it needs (`deploy-token`: only OPERATOR_TOKEN itself):',
  ],
  operator_route_closed: [403, 'permission_error', 'This route declares no scope, so no token may call it.'],
  operator_token_not_made: [
    409,
    'invalid_request_error',
    'There is or was a token with this name, or there are 50 tokens already. Choose another name, or revoke a token.',
  ],
  operator_token_not_found: [
    404,
    'invalid_request_error',
    'No such token, or it is revoked already. List the tokens with `GET /operator/api/tokens`.',
  ],
  node_token_invalid: [
    401,
    'authentication_error',
    'Invalid node token. Sign it with the key that this node enrolled with (iss: node id, aud: tollgate-edge, exp) and check the node’s clock. A node that lost its key must enrol again with a new join token.',
  ],
  websocket_only: [
    426,
    'invalid_request_error',
    'This route opens a WebSocket. Call it with `Upgrade: websocket`.',
  ],
  heartbeat_first: [
    409,
    'invalid_request_error',
    'The Pool does not know this node yet, or it was removed. Send a heartbeat first.',
  ],
  join_token_invalid: [
    401,
    'authentication_error',
    'The join token is unknown to this edge or has expired. Ask the operator for a new one.',
  ],
  join_token_used: [
    409,
    'invalid_request_error',
    'The join token has already been used: each one enrols a single node. Ask the operator for a new one.',
  ],
  model_path_not_accepted: [
    400,
    'invalid_request_error',
    'The engine serves weights that this join token does not allow. Start it with one of:',
  ],
  node_url_refused: [
    400,
    'invalid_request_error',
    'The agent’s URL must be a public `https://host[:port]` without a path, because the edge connects to it. Fault:',
  ],
  public_key_invalid: [
    400,
    'invalid_request_error',
    '`public_key` is not an Ed25519 key. Delete the agent’s key file and start the agent again.',
  ],
  model_not_found: [404, 'invalid_request_error', 'Model not found. List the models with `GET /v1/models`.'],
  node_not_found: [
    404,
    'invalid_request_error',
    'Node not found, or removed. List the nodes with `GET /operator/api/nodes`. A removed node must enrol again with a new join token.',
  ],
  person_not_found: [
    404,
    'invalid_request_error',
    'No user has signed up with this e-mail. Sign up in the portal first, then repeat this call.',
  ],
  second_factor_is_off: [
    409,
    'invalid_request_error',
    'This person has no second factor to reset: they sign in with their password alone.',
  ],
  second_factor_of_operator: [
    403,
    'permission_error',
    'This person is an operator, whose second factor only OPERATOR_TOKEN itself resets.',
  ],
  account_not_found: [404, 'invalid_request_error', 'Account not found. Check its id in the portal.'],
  grant_id_taken: [
    409,
    'invalid_request_error',
    'This account already has a grant with this grant_id and a different amount. Nothing was granted; choose a new grant_id.',
  ],
  price_not_found: [
    404,
    'invalid_request_error',
    'Price version not found. List the versions with `GET /operator/api/prices`.',
  ],
  price_too_soon: [
    400,
    'invalid_request_error',
    'A price can change 60 seconds from now at the earliest, so that every edge has it in time. Choose a later time.',
  ],
  price_window_batch: [
    400,
    'invalid_request_error',
    'A batch price cannot have a daily window, because batches run whenever GPUs are idle. Leave the window out.',
  ],
  price_window_empty: [
    400,
    'invalid_request_error',
    'The daily window ends when it starts. For an all-day price, leave it out.',
  ],
  price_cache_dearer: [
    400,
    'invalid_request_error',
    'A token from the cache may not cost more than another. Lower `cache_hit`, or raise `cache_miss`.',
  ],
  price_batch_above_half: [
    400,
    'invalid_request_error',
    'A batch token may cost at most half of what it costs otherwise, off-peak hours included, at any time within 24 hours. Lower the batch price first, a day ahead of a lower standard price:',
  ],
  price_same_instant: [
    409,
    'invalid_request_error',
    'Another version of this price starts at the same time. Start this one a minute later, or keep the existing one.',
  ],
  price_end_before_start: [
    400,
    'invalid_request_error',
    'A price must end after it starts. Choose a later time.',
  ],
  price_ended: [
    409,
    'invalid_request_error',
    'This price has ended or ends within 60 seconds, so its end can no longer be changed. Add a new version.',
  ],
  price_unconfirmed: [
    409,
    'invalid_request_error',
    'This changes a price by more than 25 % or ends the sale of a model. To confirm, repeat the call with `confirm` set to the model’s id. USD per million tokens (cached / uncached / output):',
  ],
  alias_repeated: [
    400,
    'invalid_request_error',
    '`aliases` has a name twice, or the model’s own id; capital letters do not tell names apart. Leave one out.',
  ],
  path_repeated: [400, 'invalid_request_error', '`model_paths` has a path twice. Leave one out.'],
  output_above_context: [
    400,
    'invalid_request_error',
    '`output_tokens_max` is more than `context_tokens`. Lower it.',
  ],
  default_above_max: [
    400,
    'invalid_request_error',
    '`output_tokens_default` is more than `output_tokens_max`. Lower it.',
  ],
  context_above_weights: [
    400,
    'invalid_request_error',
    '`context_tokens`, the longest prompt, leaves no room for an answer in `profile.contextLength`: it must be less by 65 or more. Lower it.',
  ],
  profile_too_large: [400, 'invalid_request_error', '`profile` has more than 12 KiB as JSON. Shorten it.'],
  too_many_models: [
    409,
    'invalid_request_error',
    'There are 500 models already, which is the most. Delete one that was never sold.',
  ],
  model_id_taken: [
    409,
    'invalid_request_error',
    'This id is another model’s id or alias, or was its alias. Choose another.',
  ],
  model_alias_taken: [
    409,
    'invalid_request_error',
    'An alias is another model’s id or alias, or was its alias while it was sold: clients that use it must not get another model unasked. Choose another.',
  ],
  too_many_former_aliases: [
    409,
    'invalid_request_error',
    'A sold model keeps the aliases that it gives up, at most 64 of them. Leave its present aliases in the list.',
  ],
  model_weights_fixed: [
    409,
    'invalid_request_error',
    'Repository, commit and revision stay once a model has a price, so that no customer gets other weights unasked. Add other weights as a model of their own, and name it as the successor.',
  ],
  model_in_use: [
    409,
    'invalid_request_error',
    'This model has a price, a node, a join token or an announced end, so it cannot be deleted. Announce its end instead.',
  ],
  model_changed: [
    409,
    'invalid_request_error',
    'Another operator changed the models at the same time. Read them again, and repeat the call if it still applies.',
  ],
  end_too_soon: [
    400,
    'invalid_request_error',
    'A model ends 60 days after its end is announced at the earliest, as customers are promised. Choose a later time.',
  ],
  end_moved_forward: [
    409,
    'invalid_request_error',
    'The end is announced for a later time, and customers rely on it. Choose that time or a later one.',
  ],
  model_ended: [
    409,
    'invalid_request_error',
    'This model has ended, which is final. Add it again under a new id.',
  ],
  successor_unknown: [
    400,
    'invalid_request_error',
    'No model with this id has a price. List the models with `GET /operator/api/models`, and choose one that is `sold`.',
  ],
  successor_ends_first: [
    400,
    'invalid_request_error',
    'The successor must be another model that does not end before this one. Choose another, or null.',
  ],
  end_unconfirmed: [
    409,
    'invalid_request_error',
    'Every account that used the model in the last 30 days will be told, and the end cannot be moved forward. To confirm, repeat the call with `confirm` set to the model’s id.',
  ],
  end_changed: [
    409,
    'invalid_request_error',
    'Another operator changed this end at the same time. Read the model again, and repeat the call if it still applies.',
  ],
  no_end_announced: [
    409,
    'invalid_request_error',
    'No end is announced for this model, so there is none to withdraw. Read the model with `GET /operator/api/models/{id}`.',
  ],
  reference_price_not_found: [
    404,
    'invalid_request_error',
    'No comparison price with this id is still open and began before that time. List them with `GET /operator/api/reference-prices`.',
  ],
  too_many_reference_prices: [
    409,
    'invalid_request_error',
    'Public pages show every comparison price that has not ended, so there may be at most',
  ],
  promo_code_taken: [
    409,
    'invalid_request_error',
    'This promo code already exists and cannot be changed. Choose another code.',
  ],
  promo_expires_in_past: [
    400,
    'invalid_request_error',
    'The expiry time is in the past. Choose a later time, or none.',
  ],
  finding_not_open: [
    404,
    'invalid_request_error',
    'No open finding with this id: it was closed, explained by a late receipt, or never existed. List the open findings with `GET /operator/api/reconciliation`.',
  ],
} as const satisfies Record<string, readonly [number, string, string]>;

export type ControlError = keyof typeof CONTROL_ERRORS;

/**
 * Responds with an error of the table.
 * @param facts.param the invalid field
 * @param facts.detail appended to the message. It must not contain what the caller sent, so that nothing is reflected.
 */
export function refuse(c: Context, code: ControlError, facts: { param?: string; detail?: string } = {}) {
  const [status, type, message] = CONTROL_ERRORS[code];
  const fullMessage = facts.detail ? `${message} ${facts.detail}` : message;
  return c.json({ error: { message: fullMessage, type, param: facts.param ?? null, code } }, status);
}
