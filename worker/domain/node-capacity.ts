/**
 * Output tokens per second expected of a node, by hardware. They set its share of traffic relative to other nodes, so all
 * are measured alike: 64 concurrent requests on DeepSeek-R1 without disaggregation.
 */
import type { Hardware } from '../../gpu-pool/protocol/schemas.ts';

export const CAPACITY_TOKENS_PER_SECOND = {
  /** TP16 over two hosts; pessimistic, as CUDA graphs were off (sglang#3361: 266, 459, 622 at 32, 64, 96 requests). */
  '8xh800-pair': 459,
  /** An estimate: the H200's by the ratio of their memory bandwidths, 3.35 to 4.8 TB/s. R1 does not fit this hardware. */
  '8xh800': 1_249,
  /** TP8, SGLang 0.5.7, 1k tokens in and 1k out: 223.6 per GPU (InferenceX#870). */
  '8xh200': 1_789,
  /** An estimate, a little below the H200: AMD reports it level or above, but no comparable measurement is published. */
  '8xmi300x': 1_730,
} satisfies Record<Hardware, number>;
