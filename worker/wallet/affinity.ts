/**
 * Where conversations of busy keys were answered last, by what isolates report. In memory alone: engines forget, too, and
 * a row for each turn would cost as much as all the rest of a request. Isolates hear of each other's with their grants.
 */

import type { ConversationHome } from '../domain/conversation.ts';
import type { HomeOf } from '../domain/lease.ts';

const HOMES_MAX = 20_000;
/** Of one grant: what is more is older, and found out again. */
const TOLD_MAX = 1_000;

interface News extends HomeOf {
  readonly number: number;
  /** lease that told of it */
  readonly by: string;
}

export class Affinity {
  readonly #homes = new Map<number, ConversationHome>();
  #news: News[] = [];
  /** numbers go on rising when the object begins anew */
  #number = Date.now();

  find(conversation: number): ConversationHome | null {
    return this.#homes.get(conversation) ?? null;
  }

  keep({ conversation, nodeId, promptTokens }: HomeOf, by: string): void {
    const before = this.#homes.get(conversation);
    this.#homes.delete(conversation);
    this.#homes.set(conversation, { nodeId, promptTokens });
    if (this.#homes.size > HOMES_MAX) this.#homes.delete(this.#homes.keys().next().value!);
    if (before?.nodeId === nodeId && before.promptTokens === promptTokens) return;
    this.#number += 1;
    this.#news.push({ number: this.#number, by, conversation, nodeId, promptTokens });
    if (this.#news.length > 2 * TOLD_MAX) this.#news = this.#news.slice(-TOLD_MAX);
  }

  /** What other leases have told since. @param seen number of the last that is known */
  since(seen: number, lease: string): { readonly homes: HomeOf[]; readonly homesSeen: number } {
    const from = this.#news.findIndex(({ number }) => number > seen);
    const news = from === -1 ? [] : this.#news.slice(Math.max(from, this.#news.length - TOLD_MAX));
    const homes = news
      .filter(({ by }) => by !== lease)
      .map(({ conversation, nodeId, promptTokens }) => ({ conversation, nodeId, promptTokens }));
    return { homes, homesSeen: this.#number };
  }
}
