/** A chat request to R1. Markers in `content` tell the emulated engine how much to say: `[[reasoning=5 answer=5]]`. */
export function chatBody(content: string, over: Record<string, unknown> = {}): string {
  return JSON.stringify({ model: 'deepseek-reasoner', messages: [{ role: 'user', content }], ...over });
}
