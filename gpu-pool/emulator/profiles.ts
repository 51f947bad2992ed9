/**
 * The performance of each hardware group, which sets the pace of the scheduler. Measured numbers carry their
 * source; where none is published the number is an estimate and says so.
 */
import type { Hardware } from '../protocol/schemas.ts';

export interface Profile {
  /** Hosts that form the node; only rank 0 answers HTTP. */
  hosts: number;
  gpus: number;
  tensorParallel: number;
  /** Share of GPU memory for weights and KV cache (`--mem-fraction-static`). */
  memFractionStatic: number;
  /** Tokens that fit the KV cache, shared by running requests and the prefix cache. */
  kvCapacityTokens: number;
  maxRunningRequests: number;
  /** Tokens of a prefill step in the published configuration (`--chunked-prefill-size`); recipes have shorter steps (recipes/flags.ts). */
  chunkedPrefillTokens: number;
  prefillTokensPerSecond: number;
  prefillBaseMs: number;
  /** A decode step takes `decodeBaseMs + decodePerSequenceMs × batch` and yields a token a sequence. */
  decodeBaseMs: number;
  decodePerSequenceMs: number;
}

/** The context length of R1 and V3 (config.json, `max_position_embeddings`). */
export const CONTEXT_TOKENS = 163_840;

export const PROFILES = {
  '8xh800-pair': {
    hosts: 2,
    gpus: 16,
    tensorParallel: 16,
    memFractionStatic: 0.88,
    // Estimate: (80 GB × 0.88 − 671 GB ÷ 16 − 4 GB) ÷ 70.3 KB of bf16 MLA latents a token. Tensor
    // parallelism keeps a whole copy of the latents on every GPU.
    kvCapacityTokens: 340_000,
    maxRunningRequests: 128,
    chunkedPrefillTokens: 8_192,
    // Estimate. DeepSeek reports 73.7k input tokens/s a host with 56.3 % cached (open-infra-index, day 6),
    // with disaggregation and wide expert parallelism, which a plain TP16 pair lacks.
    prefillTokensPerSecond: 12_000,
    prefillBaseMs: 60,
    // Fit to 266/459/622 tokens/s at 32/64/96 concurrent (sglang#3361; CUDA graphs off, so pessimistic).
    decodeBaseMs: 104,
    decodePerSequenceMs: 0.53,
  },
  '8xh800': {
    hosts: 1,
    gpus: 8,
    tensorParallel: 8,
    // Estimates throughout, for weights of some 235 GB in FP8, such as Qwen3-235B: DeepSeek's do not fit.
    memFractionStatic: 0.85,
    // (80 GB × 0.85 − 235 GB ÷ 8 − 4 GB) ÷ 48.1 KB: 94 layers of one key-value head of 128 in bf16 on each GPU.
    kvCapacityTokens: 720_000,
    maxRunningRequests: 128,
    chunkedPrefillTokens: 8_192,
    prefillTokensPerSecond: 16_000,
    prefillBaseMs: 30,
    // The H200's by the ratio of their memory bandwidths, 3.35 to 4.8 TB/s.
    decodeBaseMs: 14.6,
    decodePerSequenceMs: 0.57,
  },
  '8xh200': {
    hosts: 1,
    gpus: 8,
    tensorParallel: 8,
    memFractionStatic: 0.82,
    // Estimate as above: (141 GB × 0.82 − 671 GB ÷ 8 − 3 GB) ÷ 70.3 KB.
    kvCapacityTokens: 400_000,
    maxRunningRequests: 256,
    chunkedPrefillTokens: 32_768,
    // Estimate: no number is published for this hardware.
    prefillTokensPerSecond: 16_000,
    prefillBaseMs: 30,
    // Fit to 597 and 1,789 tokens/s at 8 and 64 concurrent (InferenceX#870).
    decodeBaseMs: 10.2,
    decodePerSequenceMs: 0.4,
  },
  '8xmi300x': {
    hosts: 1,
    gpus: 8,
    tensorParallel: 8,
    memFractionStatic: 0.8,
    // Estimate as above, with an fp8 KV cache: (192 GB × 0.8 − 671 GB ÷ 8 − 4 GB) ÷ 35.1 KB.
    kvCapacityTokens: 1_850_000,
    // `--cuda-graph-max-bs-decode 128`: larger batches exceed the captured graphs.
    maxRunningRequests: 128,
    chunkedPrefillTokens: 131_072,
    // Estimates: no like-for-like number is published. They are close to H200, with a slower launch path.
    prefillTokensPerSecond: 14_000,
    prefillBaseMs: 40,
    decodeBaseMs: 14,
    decodePerSequenceMs: 0.36,
  },
} satisfies Record<Hardware, Profile>;
