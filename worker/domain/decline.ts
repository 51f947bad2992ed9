/** Why a saved card was not charged: what its owner can do about it, not the bank's words, which help nobody. */

export const DECLINE_REASONS = [
  /** the bank says no and not why */
  'card_declined',
  'insufficient_funds',
  'expired_card',
  /** the bank wants its customer to confirm (3-D Secure), which works only with somebody there */
  'authentication_required',
  /** the provider has the card no longer, or it cannot be charged like this */
  'card_unusable',
] as const;

export type DeclineReason = (typeof DECLINE_REASONS)[number];

/** Why recharge was turned off without its owner: a refusal, or a payment that was taken back. */
export const OFF_REASONS = [...DECLINE_REASONS, 'reversed'] as const;
export type OffReason = (typeof OFF_REASONS)[number];
