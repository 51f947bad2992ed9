/** Why a saved card could not be charged, grouped by what its owner can do about it rather than by the bank's own codes. */

export const DECLINE_REASONS = [
  /** The bank refused and gave no reason. */
  'card_declined',
  'insufficient_funds',
  'expired_card',
  /** The bank wants the cardholder to confirm (3-D Secure), which needs them to be present. */
  'authentication_required',
  /** The provider no longer has the card, or the card cannot be charged without its owner. */
  'card_unusable',
] as const;

export type DeclineReason = (typeof DECLINE_REASONS)[number];

/** Why automatic recharge was turned off without the owner asking: a decline, or a payment that was reversed. */
export const RECHARGE_OFF_REASONS = [...DECLINE_REASONS, 'reversed'] as const;
export type RechargeOffReason = (typeof RECHARGE_OFF_REASONS)[number];
