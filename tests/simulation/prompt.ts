/** What a simulated client asks for, written into its prompt, and how the simulated engine reads it. */

export interface Plan {
  /** belongs to one account: in no other's answer, in no log */
  readonly marker: string;
  /** completion tokens that the engine will generate, over all choices */
  readonly tokens: number;
  readonly chunkTokens: number;
  readonly stepMs: number;
  readonly prefillMs: number;
}

export interface Work extends Plan {
  readonly choices: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** the text of a chunk: each token is one tilde, and the first chunk shows the marker */
  textOf(chunk: number, tokens: number): string;
}

export const TOKEN = '~';

export function promptOf(plan: Plan): string {
  return `${plan.marker}|${plan.tokens}|${plan.chunkTokens}|${plan.stepMs}|${plan.prefillMs}|`;
}

export function workOf(
  content: string,
  asked: { maxTokens: number; choices: number; cached: boolean },
): Work {
  const [marker, tokens, chunkTokens, stepMs, prefillMs] = content.split('|');
  const promptTokens = 8 + (content.length >> 2);
  return {
    marker: marker!,
    tokens: Math.min(Number(tokens), asked.maxTokens),
    chunkTokens: Number(chunkTokens),
    stepMs: Number(stepMs),
    prefillMs: Number(prefillMs),
    choices: asked.choices,
    promptTokens,
    cachedTokens: asked.cached ? promptTokens >> 1 : 0,
    textOf: (chunk, count) => (chunk === 1 ? marker! : '') + TOKEN.repeat(count),
  };
}

/** Tokens in whatever arrived: whole answers and events alike. */
export function tokensIn(text: string): number {
  let count = 0;
  for (let at = text.indexOf(TOKEN); at !== -1; at = text.indexOf(TOKEN, at + 1)) count += 1;
  return count;
}
