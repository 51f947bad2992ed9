/**
 * Aliases: names that an account gives to models for itself, each with an optional effort. Agents ask for models of the
 * maker that they were written for (`claude-haiku-…` in the background); an alias names the model that answers them. No
 * account has one until it makes it: a model is never chosen in silence.
 */
import type { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import { type ReasoningRequest, steer } from './reasoning.ts';

export interface ModelAlias {
  /** In lower case, as `ALIAS_NAME` allows. */
  readonly name: string;
  readonly modelId: string;
  /** An effort, `none`, or null: what each request asks for, or the model's default. */
  readonly effort: string | null;
}

/** An alias has the characters of models' names, and at most 64 of them, as error messages repeat names up to that length. */
export const ALIAS_NAME = /^[a-z0-9][a-z0-9._:/-]{0,63}$/;

/** Efforts that the portal offers; a model may know further levels of its own. */
export const ALIAS_EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;

/** Finds the alias that a request names, ignoring case. */
export function findAlias(aliases: readonly ModelAlias[], requested: string): ModelAlias | null {
  if (aliases.length === 0) return null;
  const name = requested.toLowerCase();
  return aliases.find((alias) => alias.name === name) ?? null;
}

/** Whether a name is a model's already, or was: an alias must not stand before a model of the catalogue. */
export function isTaken(
  models: readonly { id: string; aliases: readonly string[]; formerAliases: readonly string[] }[],
  name: string,
): boolean {
  return models.some(({ id, aliases, formerAliases }) =>
    [id, ...aliases, ...formerAliases].some((each) => each.toLowerCase() === name),
  );
}

/** The request's settings of reasoning with the alias's effort, which stands where the request itself says nothing. */
export function withEffort(asked: ReasoningRequest | null, { effort }: ModelAlias): ReasoningRequest | null {
  if (effort === null) return asked;
  const says =
    asked !== null &&
    (asked.enabled !== null ||
      asked.effort !== null ||
      asked.budgetTokens !== null ||
      asked.budgetNanoUsd !== null);
  if (says) return asked;
  const rest = asked ?? {
    adaptive: null,
    budgetTokens: null,
    budgetNanoUsd: null,
    exclude: null,
    fields: {},
  };
  return effort === 'none' ? { ...rest, enabled: false, effort: null } : { ...rest, enabled: null, effort };
}

/** Whether the model can do what an alias's effort says; one without effect would be a promise. */
export function takesEffort(
  { id, profile }: { id: string; profile: Pick<ModelProfile, 'thinking'> },
  effort: string,
): boolean {
  const field = 'effort';
  const asked = withEffort(null, { name: id, modelId: id, effort })!;
  const steering = steer(
    { ...asked, fields: { effort: field } },
    {
      ...{ id, thinking: profile.thinking, isTextCompletion: false, choices: 1, outputNanoUsd: 0 },
      // Any length of an answer will do: an effort that is a share of it is never refused.
      ...{ askedTokens: 1_000, maxTokens: 1_000 },
    },
  );
  const isWithout = profile.thinking.mode === 'never' && effort === 'none';
  return isWithout || (steering.ok && !steering.ignored.includes(field));
}

/** Names of models that are not sold here and that clients ask for unasked: those of the agents' own makers. */
const OTHER_MAKERS =
  /^(?:[a-z]+\/)?(?:claude|gpt|chatgpt|codex|o[1-9]|gemini|grok|haiku|sonnet|opus)(?:[-.:@\d]|$)/i;

export function isOfOtherMaker(name: string): boolean {
  return OTHER_MAKERS.test(name);
}
