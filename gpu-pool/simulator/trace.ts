/**
 * A trace of requests, in the format that Mooncake published (FAST '25 artifact): a JSON object a line,
 * `{timestamp: ms, input_length, output_length: tokens, hash_ids: number[]}`. A hash id names a block of 512 prompt
 * tokens together with everything before it, so equal ids are equal prefixes.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import * as z from 'zod';
import { mix32 } from '../../worker/domain/routing/hash.ts';

export const BLOCK_TOKENS = 512;

export interface TraceRequest {
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Prefix blocks; the last one is usually not full. */
  readonly blocks: readonly number[];
}

const Line = z.object({
  timestamp: z.number().min(0),
  input_length: z.int().min(1).max(10_000_000),
  output_length: z.int().min(0).max(10_000_000),
  hash_ids: z.array(z.int().min(0)).min(1),
});

export interface Scaling {
  /**
   * Factor of output lengths. Traces from before reasoning models have short outputs: R1 thinks for thousands of
   * tokens.
   */
  readonly output: number;
  /** Requests come this many times as fast. */
  readonly rate: number;
}

/**
 * Resizes a trace for a pool of another size: a larger one has more customers, not the same ones more often.
 * @param copies number of copies, each with customers of its own; below 1, that share of the conversations
 * @param minutes how much of the trace's beginning is used
 */
export function resizeTrace(trace: readonly TraceRequest[], copies: number, minutes: number): TraceRequest[] {
  const head = trace.filter(
    (request) =>
      request.atMs < minutes * 60_000 && (copies >= 1 || conversationOf(request) < copies * 2 ** 32),
  );
  const ids = 1 + trace.reduce((most, { blocks }) => Math.max(most, ...blocks), 0);
  const shiftMs = 1_000 / copies;
  return Array.from({ length: Math.ceil(copies) }, (_, copy) =>
    head.map((request) => ({
      ...request,
      atMs: request.atMs + copy * shiftMs,
      blocks: request.blocks.map((id) => id + copy * ids),
    })),
  )
    .flat()
    .sort((a, b) => a.atMs - b.atMs);
}

/**
 * A hash of what a conversation keeps: system prompt and first message, which in a trace are the first two blocks.
 * From 0 to 2³² − 1.
 */
export function conversationOf({ blocks }: TraceRequest): number {
  return mix32(mix32(blocks[0]! + 1) ^ (blocks[1] ?? 0));
}

/** @throws Error naming the line that is not a request */
export async function readTrace(path: string, scaling: Scaling): Promise<TraceRequest[]> {
  const requests: TraceRequest[] = [];
  const file = createReadStream(path);
  const input = path.endsWith('.gz') ? file.pipe(createGunzip()) : file;
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  let number = 0;
  for await (const text of lines) {
    number += 1;
    if (text.trim() === '') continue;
    const line = Line.safeParse(parseJson(text));
    if (!line.success) throw new Error(`${path}, line ${number}: not a request of the trace's shape.`);
    const { timestamp, input_length, output_length, hash_ids } = line.data;
    if (hash_ids.length !== Math.ceil(input_length / BLOCK_TOKENS))
      throw new Error(`${path}, line ${number}: ${input_length} tokens are not ${hash_ids.length} blocks.`);
    requests.push({
      atMs: timestamp / scaling.rate,
      promptTokens: input_length,
      outputTokens: Math.max(1, Math.round(output_length * scaling.output)),
      blocks: hash_ids,
    });
  }
  if (requests.length === 0) throw new Error(`${path} has no requests.`);
  return requests.sort((a, b) => a.atMs - b.atMs);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
