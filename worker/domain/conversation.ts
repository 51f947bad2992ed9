/** Where a conversation's last answer was made. The Wallet is asked anyway, so isolates need not remember it. */
export interface ConversationHome {
  readonly nodeId: string;
  /** of its prompt: what that node may have in its cache, and the next turn begins with */
  readonly promptTokens: number;
}
