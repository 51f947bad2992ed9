/** The definition of a model by its operator: its fields, their bounds, and which of them may still change. Pure. */
import { longestPrompt } from '../../gpu-pool/protocol/constants.ts';
import { ModelProfile } from '../../gpu-pool/protocol/model-profile.ts';
import { utf8Length } from './grammar.ts';
import { hash32 } from './routing/hash.ts';

/** Every isolate reads the whole catalogue every ten seconds, about 4 KiB a model. No fleet has nodes for as many. */
export const MODELS_MAX = 500;
export const ALIASES_MAX = 16;
/** Aliases that a model has given up and keeps from others. */
export const FORMER_ALIASES_MAX = 64;
export const MODEL_PATHS_MAX = 16;
/** Bytes of a profile as JSON; the longest shipped one has 3 KiB. */
export const PROFILE_BYTES_MAX = 12 * 1024;
/** The most tokens of an answer, as in every dialect's `max_tokens`. */
export const OUTPUT_TOKENS_MAX = 65_536;
export const CONTEXT_TOKENS_MAX = 10_000_000;

/**
 * Lower case, as a request's model is compared so, and without a slash, as price versions and addresses contain it. `new` is
 * the console's page for a new model.
 */
export const MODEL_ID = /^(?!new$)[a-z0-9][a-z0-9._-]{0,63}$/;
export const MODEL_ALIAS = /^[A-Za-z0-9][\w./:-]{0,127}$/;
/** The `model_path` that an engine reports: a folder, or a repository. */
export const MODEL_PATH = /^[A-Za-z0-9/][\w./:@-]{0,255}$/;

export interface ModelDefinition {
  readonly id: string;
  readonly name: string;
  readonly aliases: readonly string[];
  readonly modelPaths: readonly string[];
  readonly revision: string;
  readonly license: string;
  /** The longest prompt that is sold; its answer comes on top, as far as the engine's own context goes. */
  readonly contextTokens: number;
  readonly outputTokensMax: number;
  readonly outputTokensDefault: number;
  readonly profile: ModelProfile;
}

/** Faults of the fields together, where each is right by itself. */
export type DefinitionFault =
  | 'alias_repeated'
  | 'path_repeated'
  | 'output_above_context'
  | 'default_above_max'
  | 'context_above_weights'
  | 'profile_too_large';

/** The field that each fault is about. */
export const FAULTY_FIELD: Readonly<Record<DefinitionFault, keyof ModelDefinition>> = {
  alias_repeated: 'aliases',
  path_repeated: 'modelPaths',
  output_above_context: 'outputTokensMax',
  default_above_max: 'outputTokensDefault',
  context_above_weights: 'contextTokens',
  profile_too_large: 'profile',
};

export function definitionFault(definition: ModelDefinition): DefinitionFault | null {
  const { contextTokens, outputTokensMax, outputTokensDefault, modelPaths, profile } = definition;
  const names = namesOf(definition);
  if (new Set(names).size < names.length) return 'alias_repeated';
  if (new Set(modelPaths).size < modelPaths.length) return 'path_repeated';
  if (profile.contextLength !== undefined && contextTokens > longestPrompt(profile.contextLength))
    return 'context_above_weights';
  if (outputTokensMax > contextTokens) return 'output_above_context';
  if (outputTokensDefault > outputTokensMax) return 'default_above_max';
  return utf8Length(JSON.stringify(profile)) > PROFILE_BYTES_MAX ? 'profile_too_large' : null;
}

/** The names by which requests find the model, as they are compared. */
export function namesOf({ id, aliases }: Pick<ModelDefinition, 'id' | 'aliases'>): string[] {
  return [id, ...aliases].map((name) => name.toLowerCase());
}

/** Tells whether a definition has changed since it was shown. */
export function versionOf({
  name,
  aliases,
  modelPaths,
  revision,
  license,
  contextTokens,
  outputTokensMax,
  outputTokensDefault,
  profile,
}: ModelDefinition): string {
  const texts = [name, aliases, modelPaths, revision, license];
  const tokens = [contextTokens, outputTokensMax, outputTokensDefault];
  return hash32(JSON.stringify([texts, tokens, profile])).toString(16);
}

/** Whether the model thinks where a request does not say; such a model is taken for a reasoning model. */
export function thinksByDefault({ thinking: { mode, byDefault } }: ModelProfile): boolean {
  return mode === 'always' || byDefault === true;
}

/** Whether both are the same weights. Those of a model that was sold never change: its customers would get other ones unasked. */
export function sameWeights(a: ModelDefinition, b: ModelDefinition): boolean {
  return (
    a.revision === b.revision &&
    a.profile.repository === b.profile.repository &&
    a.profile.commit === b.profile.commit
  );
}

/**
 * The aliases that a sold model keeps from others: all that it has had. Another model that took over such a name would
 * serve clients that asked for this one.
 */
export function formerAliases(
  before: Pick<ModelDefinition, 'aliases'> & { readonly formerAliases: readonly string[] },
  after: Pick<ModelDefinition, 'aliases'>,
): string[] {
  const kept = new Set(after.aliases.map((alias) => alias.toLowerCase()));
  const all = new Map(
    [...before.formerAliases, ...before.aliases].map((alias) => [alias.toLowerCase(), alias]),
  );
  return [...all].filter(([name]) => !kept.has(name)).map(([, alias]) => alias);
}

/** A wrong field of a profile by its path, such as `thinking.mode`, and what is wrong; without a path the text is no JSON. */
export interface ProfileFault {
  readonly path: string;
  readonly message: string;
}

/** The profile that a text holds, or the fields in which it is none. @param messages zod's, in another language */
export function parseProfile(
  text: string,
  messages?: Parameters<typeof ModelProfile.safeParse>[1],
): { ok: true; profile: ModelProfile } | { ok: false; faults: ProfileFault[] } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, faults: [{ path: '', message: 'JSON' }] };
  }
  const parsed = ModelProfile.safeParse(value, messages);
  if (parsed.success) return { ok: true, profile: parsed.data };
  const faults = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
  return { ok: false, faults };
}
