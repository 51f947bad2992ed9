/**
 * Output tokens per second expected of a node, by hardware: its share of traffic against other nodes.
 * All at one yardstick, 64 concurrent requests on DeepSeek-R1 without disaggregation, so that shares compare.
 */
import type { Hardware } from '../../gpu-pool/protocol/schemas.ts';

export const CAPACITY_TOKENS_PER_SECOND = {
  /** TP16 over two hosts; CUDA graphs were off, so pessimistic (sglang#3361: 266, 459, 622 at 32, 64, 96) */
  '8xh800-pair': 459,
  /** TP8, SGLang 0.5.7, 1k in and 1k out: 223.6 a GPU (InferenceX#870) */
  '8xh200': 1_789,
  /** Estimate: nothing like for like is published. AMD reports it level with H200 or above; taken a little below */
  '8xmi300x': 1_730,
} satisfies Record<Hardware, number>;
