/** A chat request to R1. A marker in `content` tells the emulated engine how many tokens to generate: `[[reasoning=5 answer=5]]`. */
export function chatBody(content: string, over: Record<string, unknown> = {}): string {
  return JSON.stringify({ model: 'deepseek-reasoner', messages: [{ role: 'user', content }], ...over });
}
