/**
 * The canary by a model's profile: how its requests set the chat template and the sampling, and whether a thought
 * has to come.
 */
import type { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import type { GenerateRequest } from '../../gpu-pool/protocol/schemas.ts';

/** A model as far as the canary goes. The profile may be one that an operator has not completed. */
export interface CanaryModel {
  readonly profile: Partial<ModelProfile>;
  readonly reasoning: boolean;
}

/**
 * A request as the model wants it: sampled as it recommends, with its thinking switched where it can be.
 * @param thinks undefined: as the model does by itself
 */
export function asModelWants(
  request: GenerateRequest,
  { profile }: Pick<CanaryModel, 'profile'>,
  thinks?: boolean,
): GenerateRequest {
  const { sampling, thinking } = profile;
  const switched =
    thinking?.mode === 'switchable' && thinks !== undefined
      ? { template_variables: { [thinking.variable ?? 'thinking']: thinks } }
      : {};
  return { ...request, ...sampling, ...switched };
}

/** Whether the answer to a request for a thought has to have one. A model that never thinks may not have any. */
export function thoughtExpected({ profile, reasoning }: CanaryModel): boolean {
  return profile.thinking === undefined ? reasoning : profile.thinking.mode !== 'never';
}
