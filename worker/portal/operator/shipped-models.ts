/** The model profiles that are shipped, from which an operator can begin a new model; gpu-pool/models has the files. */
import r1 from '../../../gpu-pool/models/deepseek-r1-0528.json' with { type: 'json' };
import r1Zero from '../../../gpu-pool/models/deepseek-r1-zero.json' with { type: 'json' };
import v3 from '../../../gpu-pool/models/deepseek-v3-0324.json' with { type: 'json' };

/** By model id, the profile as it is in its file. */
export const SHIPPED_MODELS: Readonly<
  Record<string, { readonly repository: string; readonly contextLength?: number }>
> = {
  'deepseek-r1-0528': r1,
  'deepseek-r1-zero': r1Zero,
  'deepseek-v3-0324': v3,
};
