/** Scopes of the operator API's tokens: a route needs one, and a token has several. */
export const OPERATOR_SCOPES = [
  /** Every GET, and the audit of ledgers and archives. */
  'read',
  /** Limits, suspension and sessions of accounts. */
  'accounts',
  /** Grants, promo codes, and the closing of findings. */
  'money',
  /** Price versions, comparison prices, and the ends of models. */
  'prices',
  /** Models: add and edit, and delete before they are sold. */
  'models',
  /** Join tokens, and drain, quarantine, restore and remove. */
  'nodes',
  /** The work of a secret's rotation. */
  'secrets',
] as const;

export type OperatorScope = (typeof OPERATOR_SCOPES)[number];

/** A token's name: it stands in the audit trail. */
export const OPERATOR_TOKEN_NAME = /^[a-z0-9][a-z0-9._-]{0,39}$/;

/** A token lives for a year at most: one that nobody renews is one that nobody needs. */
export const OPERATOR_TOKEN_DAYS_MAX = 365;

/** Tokens that are neither revoked nor expired. More are not managed by hand, and the list stays one page. */
export const OPERATOR_TOKENS_MAX = 50;

const PREFIX = 'op-tg-';

/** A new token: 32 random bytes, base64url. */
export function newOperatorToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return (
    PREFIX + btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (c) => ({ '+': '-', '/': '_' })[c] ?? '')
  );
}

export function isOperatorToken(text: string): boolean {
  return /^op-tg-[\w-]{43}$/.test(text);
}
