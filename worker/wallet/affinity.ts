/**
 * The nodes that gave conversations of busy keys their last answers, as isolates report them. They are kept in memory
 * only: engines forget prefixes too, and a row for each turn would cost as much as the rest of a request. Isolates get
 * those of other isolates with their lease grants.
 */

import type { ConversationHome } from '../domain/conversation.ts';
import type { ConversationAffinity } from '../domain/lease.ts';

/** Conversations remembered. Past it, those that were reported longest ago are dropped. */
const CONVERSATIONS_MAX = 20_000;
/** Most changes in one grant. Older ones are left out: an isolate that needs one of them chooses a node as for a new conversation. */
const CHANGES_PER_GRANT_MAX = 1_000;

interface AffinityChange extends ConversationAffinity {
  readonly seq: number;
  /** The lease whose isolate reported it. */
  readonly leaseId: string;
}

export class Affinity {
  readonly #homes = new Map<number, ConversationHome>();
  #changes: AffinityChange[] = [];
  /** Starts from the clock, so that sequence numbers still rise after the object restarts. */
  #seq = Date.now();

  find(conversation: number): ConversationHome | null {
    return this.#homes.get(conversation) ?? null;
  }

  keep({ conversation, nodeId, promptTokens }: ConversationAffinity, leaseId: string): void {
    const before = this.#homes.get(conversation);
    this.#homes.delete(conversation);
    this.#homes.set(conversation, { nodeId, promptTokens });
    if (this.#homes.size > CONVERSATIONS_MAX) this.#homes.delete(this.#homes.keys().next().value!);
    if (before?.nodeId === nodeId && before.promptTokens === promptTokens) return;
    this.#seq += 1;
    this.#changes.push({ seq: this.#seq, leaseId, conversation, nodeId, promptTokens });
    if (this.#changes.length > 2 * CHANGES_PER_GRANT_MAX)
      this.#changes = this.#changes.slice(-CHANGES_PER_GRANT_MAX);
  }

  /**
   * The changes that other leases reported since.
   * @param seenSeq sequence number of the last change that the lease's isolate knows
   */
  since(
    seenSeq: number,
    leaseId: string,
  ): { readonly affinities: ConversationAffinity[]; readonly affinitiesSeen: number } {
    const from = this.#changes.findIndex(({ seq }) => seq > seenSeq);
    const changes =
      from === -1 ? [] : this.#changes.slice(Math.max(from, this.#changes.length - CHANGES_PER_GRANT_MAX));
    const affinities = changes
      .filter((change) => change.leaseId !== leaseId)
      .map(({ conversation, nodeId, promptTokens }) => ({ conversation, nodeId, promptTokens }));
    return { affinities, affinitiesSeen: this.#seq };
  }
}
