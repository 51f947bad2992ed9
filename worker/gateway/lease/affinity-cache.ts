/**
 * Where this isolate's conversations were answered last. A lease admits without asking the Wallet, which knows it of all
 * isolates; what one of them has seen itself is enough for the turns that it serves one after the other.
 */
import type { ConversationHome } from '../../domain/conversation.ts';
import { TtlCache } from '../../lib/ttl-cache.ts';

/** Engines forget sooner. */
const homes = new TtlCache<number, ConversationHome>({ ttlMs: 3_600_000, sizeMax: 20_000 });

export function homeOf(conversation: number | undefined, nowMs: number): ConversationHome | null {
  return conversation === undefined ? null : (homes.get(conversation, nowMs) ?? null);
}

export function rememberHome(conversation: number, home: ConversationHome, nowMs: number): void {
  homes.set(conversation, home, nowMs);
}
