/**
 * A small synthetic trace, for a first look without a download: conversations under a few shared system prompts,
 * each turn with the earlier ones in its prompt. Sizes and gaps are drawn from a seed; they resemble chat and
 * contain no real data.
 */
import { createRandom } from '../emulator/random.ts';
import { BLOCK_TOKENS, type TraceRequest } from './trace.ts';

const SYSTEM_PROMPTS = 12;
const TURNS_MEAN = 3;

/** @returns about an hour of `requests` requests, oldest first */
export function makeSyntheticTrace({ requests, seed }: { requests: number; seed: number }): TraceRequest[] {
  const random = createRandom(`trace ${seed}`);
  const exponential = (mean: number) => -mean * Math.log(1 - random());
  const between = (least: number, most: number) => Math.round(least * (most / least) ** random());
  let freshId = 1_000;
  const fresh = (count: number) => Array.from({ length: count }, () => freshId++);
  const systemPrompts = Array.from({ length: SYSTEM_PROMPTS }, () => fresh(between(1, 4)));

  const trace: TraceRequest[] = [];
  while (trace.length < requests) {
    let atMs = random() * 3_600_000;
    const system = systemPrompts[Math.floor(SYSTEM_PROMPTS * random() ** 2)]!;
    let blocks = [...system];
    const turns = 1 + Math.floor(exponential(TURNS_MEAN - 1));
    for (let turn = 0; turn < turns; turn++) {
      blocks = [...blocks, ...fresh(between(1, turn === 0 ? 60 : 6))];
      const outputTokens = between(200, 6_000);
      // The last block of a prompt is rarely full, so the next turn has a new block in its place.
      const promptTokens = blocks.length * BLOCK_TOKENS - Math.floor(random() * (BLOCK_TOKENS - 1));
      trace.push({ atMs, promptTokens, outputTokens, blocks });
      blocks = [...blocks.slice(0, -1), ...fresh(Math.ceil(outputTokens / BLOCK_TOKENS / 8))];
      atMs += outputTokens * 30 + exponential(45_000);
    }
  }
  return trace.sort((a, b) => a.atMs - b.atMs).slice(0, requests);
}
