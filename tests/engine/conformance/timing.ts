/**
 * How fast this engine is: a few points of prefill and decode, each measured once. They are no assumption; a simulation of
 * this node can take them in place of estimates.
 */
import type { DirectEngine } from './direct-engine.ts';
import { freshSalt, freshWord, user } from './prompts.ts';
import type { Subject } from './subject.ts';

export interface TimingCurves {
  /** Seconds until the first token of a prompt that is not cached. */
  readonly prefill: readonly { readonly promptTokens: number; readonly seconds: number }[];
  /** Seconds between two tokens of a sequence, with so many sequences running. */
  readonly decode: readonly { readonly batch: number; readonly secondsPerToken: number }[];
}

/** Prompts of about so many words; measuring ends once a point took `POINT_MS_MAX`. */
const WORDS = [8, 64, 256, 1_024, 4_096, 16_384] as const;
const BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256] as const;
const POINT_MS_MAX = 8_000;
const DECODE_TOKENS = 40;
/** The engine is asked for at most so many choices at once, as the edge does. */
const CHOICES_MAX = 8;

export async function measureTiming(subject: Subject): Promise<TimingCurves> {
  const { engine, places, info, contextTokens } = subject;
  const { max_total_num_tokens: pool = contextTokens } = info as { max_total_num_tokens?: number };
  const prefill: TimingCurves['prefill'][number][] = [];
  for (const words of WORDS) {
    const startedMs = performance.now();
    const point = await prefillOf(engine, words);
    // Words of the prompt may be several tokens each.
    if (point.promptTokens > 0) prefill.push(point);
    if (
      performance.now() - startedMs > POINT_MS_MAX ||
      point.promptTokens * 4 > Math.min(pool, contextTokens) / 2
    )
      break;
  }
  const decode: TimingCurves['decode'][number][] = [];
  for (const batch of BATCHES.filter((size) => size <= places.running)) {
    const startedMs = performance.now();
    decode.push({ batch, secondsPerToken: await decodeOf(engine, batch) });
    if (performance.now() - startedMs > POINT_MS_MAX) break;
  }
  return { prefill, decode };
}

async function prefillOf(engine: DirectEngine, words: number): Promise<TimingCurves['prefill'][number]> {
  const { chunks, atMs } = await engine.stream({
    messages: user(`${freshWord()} ${'word '.repeat(words)}`),
    max_tokens: 1,
    cache_salt: freshSalt(),
  });
  return { promptTokens: chunks.at(-1)?.usage?.prompt_tokens ?? 0, seconds: rounded((atMs[0] ?? 0) / 1_000) };
}

async function decodeOf(engine: DirectEngine, batch: number): Promise<number> {
  const requests: Promise<number[]>[] = [];
  for (let left = batch; left > 0; left -= CHOICES_MAX)
    requests.push(tokenTimes(engine, Math.min(CHOICES_MAX, left)));
  const times = (await Promise.all(requests)).flat();
  return rounded(times.reduce((sum, each) => sum + each, 0) / times.length / 1_000);
}

/** For each choice, the milliseconds between its tokens on average. */
async function tokenTimes(engine: DirectEngine, n: number): Promise<number[]> {
  const { chunks, atMs } = await engine.stream(engine.endless({ n, max_tokens: DECODE_TOKENS }));
  return Array.from({ length: n }, (_, index) => {
    const own = chunks.flatMap(({ choices, usage }, at) =>
      choices?.[0]?.index === index && usage ? [{ ms: atMs[at] ?? 0, tokens: usage.completion_tokens }] : [],
    );
    const [first, last] = [own[0], own.at(-1)];
    return first && last && last.tokens > first.tokens
      ? (last.ms - first.ms) / (last.tokens - first.tokens)
      : 0;
  });
}

function rounded(seconds: number): number {
  return Math.round(seconds * 1e5) / 1e5;
}
