/** The sandbox's test cards: one that works, and one for each way in which cards fail. */
import type { DeclineReason } from '../../domain/decline-reasons.ts';

interface SandboxCard {
  /** Stored as the id of the saved card. */
  readonly methodRef: string;
  readonly label: string;
  /** null: every charge works. */
  readonly declines: DeclineReason | null;
}

export const SANDBOX_CARDS = {
  works: { methodRef: 'sandbox_card_works', label: 'Sandbox …4242', declines: null },
  declines: { methodRef: 'sandbox_card_declines', label: 'Sandbox …0002', declines: 'card_declined' },
  asks: {
    methodRef: 'sandbox_card_asks',
    label: 'Sandbox …3155',
    declines: 'authentication_required',
  },
} as const satisfies Record<string, SandboxCard>;

export type SandboxCardName = keyof typeof SANDBOX_CARDS;

export function isSandboxCard(name: unknown): name is SandboxCardName {
  return typeof name === 'string' && Object.hasOwn(SANDBOX_CARDS, name);
}

/** The outcome of charging a card. @returns null: the charge works; an unknown card is unusable */
export function declineOfCard(methodRef: string): DeclineReason | null {
  const card = Object.values(SANDBOX_CARDS).find((each) => each.methodRef === methodRef);
  return card === undefined ? 'card_unusable' : card.declines;
}
