/**
 * Whether the agent takes new requests. A drain of its own ends that for good; the edge can end it with the directive
 * 'drain', which 'serve' takes back, or with 'removed'.
 */
import type { HeartbeatReply } from '../protocol/schemas.ts';

export type Directive = HeartbeatReply['directive'];

export class AdmissionGate {
  #stopped = false;
  #directive: Directive = 'serve';

  get open(): boolean {
    return !this.#stopped && this.#directive === 'serve';
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Follows the edge's directive. @returns whether it differs from the last one */
  follow(directive: Directive): boolean {
    const changed = directive !== this.#directive;
    this.#directive = directive;
    return changed;
  }
}
