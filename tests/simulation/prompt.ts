/** The prompt of a simulated client, which tells the simulated engine how to answer, and how the engine reads it. */
import type { NodeFault } from './faults.ts';

/** The ways in which a request can break every engine that gets it: every fault of a node that its request could cause. */
export const BREAKS = [
  'engine_failed_502',
  'overloaded_503',
  'resets_before_headers',
  'dies_before_first_event',
  'dies_mid_stream',
  'fails_after_work',
  'hangs_before_headers',
  'malformed_frame',
  'refused_400',
] as const satisfies readonly (NodeFault | 'refused_400')[];
export type Break = (typeof BREAKS)[number];

export interface AnswerPlan {
  /** A text of one account: it must appear in no other account's answer and in no log. */
  readonly marker: string;
  /** Completion tokens that the engine will generate, over all choices. */
  readonly tokens: number;
  readonly chunkTokens: number;
  readonly stepMs: number;
  readonly prefillMs: number;
  /** How this request breaks every engine that gets it; absent: it does not. */
  readonly breaks?: Break;
}

export interface EngineTask extends AnswerPlan {
  readonly choices: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** The text of a chunk: one tilde a token, after the marker in the first chunk. */
  textOf(chunk: number, tokens: number): string;
}

export const TOKEN = '~';

export function promptOf(plan: AnswerPlan): string {
  return `${plan.marker}|${plan.tokens}|${plan.chunkTokens}|${plan.stepMs}|${plan.prefillMs}|${plan.breaks ?? ''}|`;
}

/** How the request with this prompt breaks every engine; undefined: it does not. */
export function breakIn(content: string): Break | undefined {
  return (content.split('|')[5] || undefined) as Break | undefined;
}

export function engineTaskOf(
  content: string,
  options: { maxTokens: number; choices: number; cached: boolean },
): EngineTask {
  const [marker, tokens, chunkTokens, stepMs, prefillMs] = content.split('|');
  const promptTokens = 8 + (content.length >> 2);
  return {
    marker: marker!,
    tokens: Math.min(Number(tokens), options.maxTokens),
    chunkTokens: Number(chunkTokens),
    stepMs: Number(stepMs),
    prefillMs: Number(prefillMs),
    choices: options.choices,
    promptTokens,
    cachedTokens: options.cached ? promptTokens >> 1 : 0,
    textOf: (chunk, count) => (chunk === 1 ? marker! : '') + TOKEN.repeat(count),
  };
}

/** The copy of `reasoning_content`, which may be cut off with the answer. */
const REASONING_COPY = /"reasoning":"[^"]*/g;

/** Counts the tokens in a text: a whole answer, or the events of a stream. */
export function tokensIn(text: string): number {
  const once = text.replace(REASONING_COPY, '');
  let count = 0;
  for (let at = once.indexOf(TOKEN); at !== -1; at = once.indexOf(TOKEN, at + 1)) count += 1;
  return count;
}
