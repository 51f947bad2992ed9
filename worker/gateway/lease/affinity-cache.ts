/**
 * The nodes that gave this isolate's conversations their last answers. A request under a lease is admitted without the
 * Wallet, which knows those of all isolates; for consecutive turns in one isolate its own memory suffices, and lease
 * grants bring those of the others.
 */
import type { ConversationHome } from '../../domain/conversation.ts';
import { TtlCache } from '../../lib/ttl-cache.ts';

/** Homes are kept for an hour: engines evict an idle prefix sooner. */
const homes = new TtlCache<number, ConversationHome>({ ttlMs: 3_600_000, sizeMax: 20_000 });

export function homeOf(conversation: number | undefined, nowMs: number): ConversationHome | null {
  return conversation === undefined ? null : (homes.get(conversation, nowMs) ?? null);
}

export function rememberHome(conversation: number, home: ConversationHome, nowMs: number): void {
  homes.set(conversation, home, nowMs);
}
