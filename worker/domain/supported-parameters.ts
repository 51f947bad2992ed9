/**
 * The request fields that have an effect with a model, under the names of OpenRouter's `supported_parameters`, by which
 * clients choose models. They follow from the model's profile, and from what the engines of all nodes that serve it can do:
 * a request may reach any of them.
 */
import type { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import { continuesAnswers } from './answer-prefix.ts';

/** The abilities of a node's engine that its settings decide. */
export interface NodeAbilities {
  /** It runs with deterministic inference, without which `seed` has no effect. */
  readonly deterministic?: boolean;
}

interface Facts {
  readonly profile: Pick<ModelProfile, 'parsers' | 'thinking'>;
  readonly nodes: readonly NodeAbilities[];
}

const always = () => true;
const hasTools = ({ profile }: Facts) => profile.parsers.tools !== null;
const thinks = ({ profile: { thinking } }: Facts) => thinking.mode !== 'never';
/** Log probabilities are refused for every model that can reason; see gateway/read-request.ts. */
const neverThinks = (facts: Facts) => !thinks(facts);

const SUPPORTED: Readonly<Record<string, (facts: Facts) => boolean>> = {
  max_tokens: always,
  temperature: always,
  top_p: always,
  top_k: always,
  min_p: always,
  repetition_penalty: always,
  logit_bias: always,
  min_tokens: always,
  frequency_penalty: always,
  presence_penalty: always,
  stop: always,
  response_format: always,
  structured_outputs: always,
  tools: hasTools,
  tool_choice: hasTools,
  reasoning: thinks,
  include_reasoning: thinks,
  reasoning_effort: thinks,
  // Mistral's and DeepSeek's name for an answer that the client begins; OpenRouter has none.
  prefix: ({ profile }) => continuesAnswers(profile),
  logprobs: neverThinks,
  top_logprobs: neverThinks,
  seed: ({ nodes }) => repeatsBySeed(nodes),
};

/** @param facts.nodes those that serve the model now; none: what the profile alone supports, which `seed` is no part of */
export function supportedParameters(facts: Facts): string[] {
  return Object.entries(SUPPORTED)
    .filter(([, holds]) => holds(facts))
    .map(([name]) => name);
}

/** Whether a request with a seed is answered alike wherever it goes. */
export function repeatsBySeed(nodes: readonly NodeAbilities[]): boolean {
  return nodes.length > 0 && nodes.every(({ deterministic }) => deterministic === true);
}
