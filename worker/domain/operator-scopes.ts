/** What a token of the operator API may do. A route declares one scope; a token has several, and gives on no others. */
export const OPERATOR_SCOPES = [
  /** Every GET, and the audit of ledgers. */
  'read',
  /** Limits, suspension and sessions of accounts. */
  'accounts',
  /** Grants, promo codes, and the closing of findings. */
  'money',
  /** Price versions. */
  'prices',
  /** Join tokens, and drain, quarantine, restore and remove. */
  'nodes',
  /** The appointment of operators. */
  'operators',
  /** Tokens of the operator API. */
  'tokens',
  /** The work of a secret's rotation. */
  'secrets',
] as const;

export type OperatorScope = (typeof OPERATOR_SCOPES)[number];
