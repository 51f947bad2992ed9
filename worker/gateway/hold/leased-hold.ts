/**
 * A hold that is part of a lease: it grows from the lease's slack, and how it ends reaches the Wallet with the lease's
 * next report. A request that is silent for too long is detached from its lease: the Wallet then keeps a hold for it alone,
 * which this one calls from then on.
 */
import type { NanoUsd } from '../../domain/money.ts';
import type { Lease } from '../lease/lease.ts';
import type { HoldChange, RequestHold, ResizedHold, Settlement } from './request-hold.ts';

export class LeasedHold implements RequestHold {
  readonly #lease: Lease;
  readonly #requestId: string;
  readonly #ownHold: RequestHold;

  /** @param ownHold the same request's hold at the Wallet, for the time after it was detached from the lease */
  constructor(lease: Lease, requestId: string, ownHold: RequestHold) {
    this.#lease = lease;
    this.#requestId = requestId;
    this.#ownHold = ownHold;
  }

  ticket(): string | undefined {
    return this.#isLeased() ? this.#lease.ticket(this.#requestId) : undefined;
  }

  async resize(change: HoldChange): Promise<ResizedHold | null> {
    if (!this.#isLeased()) return this.#ownHold.resize(change);
    return this.#lease.resize(this.#requestId, change);
  }

  async settle(settlement: Settlement): Promise<NanoUsd> {
    if (!this.#isLeased()) return this.#ownHold.settle(settlement);
    const { nodeId, ending, billed } = settlement;
    const { usage, ttftMs, conversation } = billed ?? { usage: null, ttftMs: null };
    const chargeNanoUsd = this.#lease.end(this.#requestId, { nodeId, ending, usage, ttftMs, conversation });
    if (usage === null) await this.#lease.reported(this.#requestId);
    return chargeNanoUsd;
  }

  async void(nodeId: string | null): Promise<void> {
    if (!this.#isLeased()) return this.#ownHold.void(nodeId);
    this.#lease.end(this.#requestId, { nodeId, ending: 'not_served', usage: null, ttftMs: null });
    await this.#lease.reported(this.#requestId);
  }

  #isLeased(): boolean {
    return this.#lease.isRunning(this.#requestId);
  }
}
