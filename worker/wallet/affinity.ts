/**
 * The nodes that gave conversations their last answers. They are kept in memory: engines forget prefixes too, and a row
 * for each turn would cost as much as the rest of a request. After a restart those of requests with a hold of their own are
 * found among these requests. Isolates get those of other isolates with their lease grants.
 */

import type { ConversationHome } from '../domain/conversation.ts';
import type { ConversationAffinity } from '../domain/lease.ts';

/** Conversations remembered. Past it, those that were reported longest ago are dropped. */
const CONVERSATIONS_MAX = 20_000;
/** Most changes in one grant. Older ones are left out: an isolate that needs one of them chooses a node as for a new conversation. */
const CHANGES_PER_GRANT_MAX = 1_000;

interface AffinityChange extends ConversationAffinity {
  readonly seq: number;
  /** The lease whose isolate reported it; null: a request with a hold of its own. */
  readonly leaseId: string | null;
}

export class Affinity {
  /** The one that was reported longest ago comes first. */
  readonly #homes = new Map<number, ConversationHome & { readonly atMs: number }>();
  #changes: AffinityChange[] = [];
  /** Starts from the clock, so that sequence numbers still rise after the object restarts. */
  #seq = Date.now();

  find(conversation: number): ConversationHome | null {
    const home = this.#homes.get(conversation);
    return home ? { nodeId: home.nodeId, promptTokens: home.promptTokens } : null;
  }

  /** Forgets what was reported before `beforeMs`. */
  forget(beforeMs: number): void {
    for (const [conversation, { atMs }] of this.#homes) {
      if (atMs >= beforeMs) return;
      this.#homes.delete(conversation);
    }
  }

  keep(
    { conversation, nodeId, promptTokens }: ConversationAffinity,
    leaseId: string | null,
    nowMs: number,
  ): void {
    const before = this.#homes.get(conversation);
    this.#homes.delete(conversation);
    this.#homes.set(conversation, { nodeId, promptTokens, atMs: nowMs });
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
