/**
 * A hold that is part of a lease: it grows from the lease's slack, and how it ends reaches the Wallet with the lease's
 * next report. A lease parts with a request that has been silent for too long; the Wallet then holds the request by
 * itself, and so does this hold from then on.
 */
import type { NanoUsd } from '../../domain/money.ts';
import type { Lease } from '../lease/lease.ts';
import type { HoldChange, RequestHold, ResizedHold, Settlement } from './request-hold.ts';

export class LeasedHold implements RequestHold {
  readonly #lease: Lease;
  readonly #requestId: string;
  readonly #parted: RequestHold;

  /** @param parted the same request's hold at the Wallet, for the time after the lease has parted with the request */
  constructor(lease: Lease, requestId: string, parted: RequestHold) {
    this.#lease = lease;
    this.#requestId = requestId;
    this.#parted = parted;
  }

  ticket(): string | undefined {
    return this.#isLeased() ? this.#lease.ticket(this.#requestId) : undefined;
  }

  async resize(change: HoldChange): Promise<ResizedHold | null> {
    if (!this.#isLeased()) return this.#parted.resize(change);
    return this.#lease.resize(this.#requestId, change);
  }

  async settle(settlement: Settlement): Promise<NanoUsd> {
    if (!this.#isLeased()) return this.#parted.settle(settlement);
    const { nodeId, ending, billed } = settlement;
    const { usage, ttftMs, conversation } = billed ?? { usage: null, ttftMs: null };
    const chargeNanoUsd = this.#lease.end(this.#requestId, { nodeId, ending, usage, ttftMs, conversation });
    if (usage === null) await this.#lease.reported(this.#requestId);
    return chargeNanoUsd;
  }

  async void(nodeId: string | null): Promise<void> {
    if (!this.#isLeased()) return this.#parted.void(nodeId);
    this.#lease.end(this.#requestId, { nodeId, ending: 'not_served', usage: null, ttftMs: null });
    await this.#lease.reported(this.#requestId);
  }

  #isLeased(): boolean {
    return this.#lease.covers(this.#requestId);
  }
}
