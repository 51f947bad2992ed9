/** A hold of the request's own, kept by the account's Wallet under the request id: every change is one Wallet call. */
import type { NanoUsd } from '../../domain/money.ts';
import type { Env } from '../../env.ts';
import { describeError } from '../../lib/describe-error.ts';
import type { HoldChange, RequestHold, ResizedHold, Settlement } from './request-hold.ts';

const ATTEMPTS_MAX = 3;
const BACKOFF_MS = 200;

export class WalletHold implements RequestHold {
  readonly #env: Env;
  readonly #accountId: string;
  readonly #requestId: string;

  constructor(env: Env, { accountId, requestId }: { accountId: string; requestId: string }) {
    this.#env = env;
    this.#accountId = accountId;
    this.#requestId = requestId;
  }

  ticket(): undefined {
    return undefined;
  }

  resize(change: HoldChange): Promise<ResizedHold | null> {
    return this.#wallet().resize({ requestId: this.#requestId, ...change });
  }

  async settle({ nodeId, ending, billed, chargeNanoUsd }: Settlement): Promise<NanoUsd> {
    const requestId = this.#requestId;
    const record = await this.#persistently('settle_failed', () =>
      billed
        ? this.#wallet().post({ requestId, nodeId, ending, ...billed })
        : this.#wallet().void({ requestId, nodeId, ending }),
    );
    return record?.chargeNanoUsd ?? chargeNanoUsd;
  }

  async void(nodeId: string | null): Promise<void> {
    const requestId = this.#requestId;
    await this.#persistently('void_failed', () =>
      this.#wallet().void({ requestId, nodeId, ending: 'not_served' }),
    );
  }

  /** A fresh stub for each call: after some errors a stub of a Durable Object answers no more. */
  #wallet() {
    return this.#env.WALLET.getByName(this.#accountId);
  }

  /**
   * Calls the Wallet until it answers, a few times. Returns null when it does not: the hold then expires, and the node's
   * receipt settles it.
   */
  async #persistently<T>(event: string, call: () => Promise<T>): Promise<T | null> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call();
      } catch (error) {
        const requestId = this.#requestId;
        console.error(JSON.stringify({ event, requestId, attempt, error: describeError(error) }));
        if (attempt === ATTEMPTS_MAX) return null;
        await scheduler.wait(BACKOFF_MS * attempt);
      }
    }
  }
}
