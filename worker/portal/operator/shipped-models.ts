/** The model profiles that are shipped, from which an operator can begin a new model; gpu-pool/models has the files. */
import deepseekR10528 from '../../../gpu-pool/models/deepseek-r1-0528.json' with { type: 'json' };
import deepseekR1Zero from '../../../gpu-pool/models/deepseek-r1-zero.json' with { type: 'json' };
import deepseekV32 from '../../../gpu-pool/models/deepseek-v3.2.json' with { type: 'json' };
import deepseekV30324 from '../../../gpu-pool/models/deepseek-v3-0324.json' with { type: 'json' };
import deepseekV4Flash from '../../../gpu-pool/models/deepseek-v4-flash.json' with { type: 'json' };
import glm46 from '../../../gpu-pool/models/glm-4.6.json' with { type: 'json' };
import gptOss120b from '../../../gpu-pool/models/gpt-oss-120b.json' with { type: 'json' };
import kimiK2Thinking from '../../../gpu-pool/models/kimi-k2-thinking.json' with { type: 'json' };
import qwen3235bThinking2507 from '../../../gpu-pool/models/qwen3-235b-thinking-2507.json' with {
  type: 'json',
};

/** By model id, the profile as it is in its file. */
export const SHIPPED_MODELS: Readonly<
  Record<string, { readonly repository: string; readonly contextLength?: number }>
> = {
  'deepseek-r1-0528': deepseekR10528,
  'deepseek-r1-zero': deepseekR1Zero,
  'deepseek-v3-0324': deepseekV30324,
  'deepseek-v3.2': deepseekV32,
  'deepseek-v4-flash': deepseekV4Flash,
  'glm-4.6': glm46,
  'gpt-oss-120b': gptOss120b,
  'kimi-k2-thinking': kimiK2Thinking,
  'qwen3-235b-thinking-2507': qwen3235bThinking2507,
};
