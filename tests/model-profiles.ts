/** Profiles of models for tests: the shipped one of DeepSeek-R1, and ones whose templates differ from it. */
import deepseekR1 from '../gpu-pool/models/deepseek-r1-0528.json' with { type: 'json' };
import { ModelProfile } from '../gpu-pool/protocol/model-profile.ts';
import { templateRules } from '../worker/domain/template-tokens.ts';

export const R1: ModelProfile = ModelProfile.parse(deepseekR1);
export const R1_RULES = templateRules(R1);

/** A profile like R1's, with the fields that a test is about. */
export function profileWith(change: Partial<ModelProfile>): ModelProfile {
  return ModelProfile.parse({ ...R1, ...change });
}

/** Control tokens of other families, as their tokenizers have them. */
export const FAMILIES: Readonly<Record<string, readonly string[]>> = {
  qwen: ['<|im_start|>', '<|im_end|>', '<|endoftext|>', '<tool_call>', '</tool_call>', '<think>', '</think>'],
  glm: ['[gMASK]', '<sop>', '<|*|>', '<tool_call>', '</tool_call>', '<arg_key>', '<think>', '</think>'],
  mistral: ['<s>', '</s>', '[INST]', '[/INST]', '[TOOL_CALLS]', '[THINK]', '[/THINK]'],
  minimax: [']~!b[', ']~b]', '[e~[', '<minimax:tool_call>', '</minimax:tool_call>', '<think>', '</think>'],
  'gpt-oss': ['<|start|>', '<|channel|>', '<|message|>', '<|end|>', '<|call|>', '<|return|>'],
};
