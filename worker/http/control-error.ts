/** Every refusal of the fleet's routes: status, type and what to do next, in one table. */
import type { Context } from 'hono';

const REFUSALS = {
  body_too_large: [413, 'invalid_request_error', 'The body is too large. Send less in one request.'],
  body_invalid: [
    400,
    'invalid_request_error',
    'The body does not follow the protocol. Correct the named field:',
  ],
  operator_token_invalid: [
    401,
    'authentication_error',
    'Send the operator token: `Authorization: Bearer OPERATOR_TOKEN`.',
  ],
  node_token_invalid: [
    401,
    'authentication_error',
    'Sign the token with the key that this node enrolled with (iss: node id, aud: tollgate-edge, exp) and check the clock. A node that lost its key enrols anew with a fresh join token.',
  ],
  join_token_invalid: [
    401,
    'authentication_error',
    'The join token is not one of this edge, or has expired. Ask the operator for a new one.',
  ],
  join_token_used: [
    409,
    'invalid_request_error',
    'The join token was used already: each lets in one node. Ask the operator for a new one.',
  ],
  model_path_not_accepted: [
    400,
    'invalid_request_error',
    'The engine serves other weights than this join token is for. Start it with one of:',
  ],
  node_url_refused: [
    400,
    'invalid_request_error',
    'The edge must reach the agent at a public `https://host[:port]` with nothing after it. Fault:',
  ],
  public_key_invalid: [
    400,
    'invalid_request_error',
    'public_key is not an Ed25519 key. Delete the key file of the agent and start it again.',
  ],
  model_not_found: [404, 'invalid_request_error', 'There is no such model. `GET /v1/models` lists them.'],
  node_not_found: [
    404,
    'invalid_request_error',
    'There is no such node, or it was removed. `GET /operator/api/nodes` lists them; a removed node enrols anew with a join token.',
  ],
  person_not_found: [
    404,
    'invalid_request_error',
    'Nobody has signed up with that e-mail. Sign up in the portal first, then repeat this call.',
  ],
  account_not_found: [404, 'invalid_request_error', 'There is no such account. Check the id in the portal.'],
  grant_id_taken: [
    409,
    'invalid_request_error',
    'This account already has a grant of that grant_id with another amount; nothing was added. Choose a new grant_id.',
  ],
  price_not_found: [
    404,
    'invalid_request_error',
    'There is no such price version. `GET /operator/api/prices` lists them.',
  ],
  price_too_soon: [
    400,
    'invalid_request_error',
    'Prices change at least 60 seconds from now, so that every edge knows in time. Name a later instant.',
  ],
  price_window_batch: [
    400,
    'invalid_request_error',
    'A batch is answered at hours of our choosing, so its price has no daily window. Leave the window out.',
  ],
  price_window_empty: [
    400,
    'invalid_request_error',
    'The daily window ends where it begins. For a price of the whole day leave it out.',
  ],
  price_same_instant: [
    409,
    'invalid_request_error',
    'Another version of this price begins at that instant. Begin a minute later, or leave it as it is.',
  ],
  price_end_before_start: [
    400,
    'invalid_request_error',
    'A price ends after it has begun. Name a later instant.',
  ],
  price_ended: [
    409,
    'invalid_request_error',
    'This price has ended, or does so within 60 seconds: its end cannot be moved any more. Add a new version.',
  ],
  price_unconfirmed: [
    409,
    'invalid_request_error',
    'This changes a price by more than a quarter, or ends a sale. If you mean it, repeat with `confirm` set to the id of the model. USD per million tokens (cached / uncached / output):',
  ],
  promo_code_taken: [
    409,
    'invalid_request_error',
    'There is such a promo code already. Choose another: a code is never changed.',
  ],
  promo_expires_in_past: [
    400,
    'invalid_request_error',
    'The promo code would have expired already. Name a later instant, or none.',
  ],
  finding_not_open: [
    404,
    'invalid_request_error',
    'There is no such open finding: closed already, explained by a late receipt, or never found. `GET /operator/api/reconciliation` lists them.',
  ],
} as const satisfies Record<string, readonly [number, string, string]>;

export type ControlError = keyof typeof REFUSALS;

/**
 * @param facts.param the field at fault
 * @param facts.detail ends the message; never what the caller sent, so nothing is reflected
 */
export function refuse(c: Context, code: ControlError, facts: { param?: string; detail?: string } = {}) {
  const [status, type, message] = REFUSALS[code];
  const whole = facts.detail ? `${message} ${facts.detail}` : message;
  return c.json({ error: { message: whole, type, param: facts.param ?? null, code } }, status);
}
