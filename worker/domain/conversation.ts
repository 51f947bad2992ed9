/**
 * A conversation's home: the node that generated its last answer and may still have its prompt in the prefix cache. The
 * Wallet keeps it, since every admission calls the Wallet anyway.
 */
export interface ConversationHome {
  readonly nodeId: string;
  /** Tokens of that answer's prompt: the next turn begins with them, and the node may have them cached. */
  readonly promptTokens: number;
}
