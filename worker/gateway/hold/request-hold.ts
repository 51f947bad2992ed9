/**
 * The hold of one request: credit that the account's Wallet has set aside for it, either in a hold of its own or as part
 * of a lease. Admission returns it, and the code that serves the request grows it, names it to the node and ends it.
 */
import type { Ending, HoldBound } from '../../domain/hold.ts';
import type { NanoUsd } from '../../domain/money.ts';
import type { PostRequest, ResizeRequest } from '../../domain/wallet.ts';

export type HoldChange = Omit<ResizeRequest, 'requestId'>;

export interface ResizedHold {
  readonly heldNanoUsd: NanoUsd;
  /** The bound that kept the hold below the wanted amount; null: none did. */
  readonly boundBy: HoldBound | null;
}

/**
 * How a hold is to end, as plain data. A batch stores it as JSON before it is carried out, so its fields keep their names;
 * carrying it out twice has the effect of once.
 */
export interface Settlement {
  readonly requestId: string;
  readonly accountId: string;
  readonly nodeId: string;
  readonly ending: Ending;
  /** null: the request costs nothing */
  readonly billed: Pick<PostRequest, 'usage' | 'ttftMs' | 'conversation'> | null;
  /** The Wallet charges at most what is held; the hold window has made sure that the hold covers all of it. */
  readonly chargeNanoUsd: NanoUsd;
}

export interface RequestHold {
  /** The lease as the node's receipt has to name it; undefined for a hold of the request's own. */
  ticket(): string | undefined;
  /**
   * Sets the hold to `wantedNanoUsd`, or as near as credit and caps allow, and shows that the request is still alive.
   * @returns null when the request is no longer held
   * @throws Error when the Wallet cannot be reached
   */
  resize(change: HoldChange): Promise<ResizedHold | null>;
  /** Ends the hold with the charge of `settlement`; safe to repeat. @returns the charge, nano-USD */
  settle(settlement: Settlement): Promise<NanoUsd>;
  /** Ends the hold of a request that no node served; it costs nothing. @param nodeId the last node that was tried */
  void(nodeId: string | null): Promise<void>;
}
