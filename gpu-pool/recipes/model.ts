/**
 * The model of a recipe: one that is shipped, one whose profile is in a file, or the one of a join token, as its edge sells
 * it.
 */
import { readFile } from 'node:fs/promises';
import { edgeOfJoinToken } from '../agent/enrol.ts';
import { readJoinedModel } from '../agent/sold-model.ts';
import { ModelProfile } from '../protocol/model-profile.ts';
import type { Hardware, SoldModel } from '../protocol/schemas.ts';
import { shippedProfile } from '../protocol/shipped-profiles.ts';
import { profileFlagFault } from './flags.ts';
import { profileFlags } from './profile-flags.ts';
import type { Recipe } from './recipe.ts';

export type RecipeModel = Pick<Recipe, 'model' | 'profile' | 'contextLength' | 'hardware'>;

export interface ModelChoice {
  model?: string | undefined;
  /** A file with a profile as JSON. */
  profile?: string | undefined;
  hardware?: Hardware | undefined;
  join?: string | undefined;
  edge?: string | undefined;
}

/** @returns the model and the hardware that it is to run on, or a sentence that says what to change */
export async function chooseModel(choice: ModelChoice): Promise<RecipeModel | string> {
  const { model, profile, join } = choice;
  if (model !== undefined && profile !== undefined)
    return 'Name the model by --model or --profile, not both.';
  const chosen =
    model !== undefined
      ? fromShipped(model, choice.hardware)
      : profile !== undefined
        ? await fromFile(profile, choice.hardware)
        : join !== undefined
          ? await fromEdge(join, choice)
          : 'Name the model by --model or --profile, or pass the join token, whose edge says it.';
  return typeof chosen === 'string' ? chosen : (faultOf(chosen) ?? chosen);
}

function fromShipped(model: string, hardware: Hardware | undefined): RecipeModel | string {
  const profile = shippedProfile(model);
  if (profile === undefined) return `No profile of ${model} is shipped: pass one with --profile.`;
  return hardware === undefined ? HARDWARE_MISSING : fromProfile(model, profile, hardware);
}

async function fromFile(path: string, hardware: Hardware | undefined): Promise<RecipeModel | string> {
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null) return `${path} cannot be read: check --profile.`;
  const parsed = ModelProfile.safeParse(parseJson(text));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return `${path} is no profile of a model: correct ${issue?.path.join('.') || 'it'} (${issue?.message}).`;
  }
  if (hardware === undefined) return HARDWARE_MISSING;
  return fromProfile(parsed.data.repository, parsed.data, hardware);
}

const HARDWARE_MISSING = 'Name the hardware of the node by --hardware.';

function fromProfile(model: string, profile: ModelProfile, hardware: Hardware): RecipeModel {
  return { model, profile, hardware, contextLength: profile.contextLength };
}

async function fromEdge(join: string, { hardware, edge }: ModelChoice): Promise<RecipeModel | string> {
  const url = edge ?? edgeOfJoinToken(join);
  if (url === null) return 'The join token contains no edge URL: pass it with --edge.';
  const joined = await readJoinedModel(url, join);
  if (joined === undefined)
    return `The edge at ${url} does not say which model this join token is for: check both, or name the model by --model or --profile.`;
  if (hardware !== undefined && hardware !== joined.hardware)
    return `This join token is for ${joined.hardware}: leave out --hardware, or create another token.`;
  const { model, sold } = joined;
  return { model, profile: sold.profile, hardware: joined.hardware, contextLength: contextLengthOf(sold) };
}

/** As long as what is sold needs, and no longer than the weights allow: SGLang refuses to start with more. */
export function contextLengthOf({ profile, context_tokens, output_tokens_max }: SoldModel): number {
  return Math.min(profile.contextLength ?? Number.POSITIVE_INFINITY, context_tokens + output_tokens_max);
}

function faultOf({ model, profile, hardware }: RecipeModel): string | null {
  if (profile.hardware[hardware] === undefined) {
    const fitting = Object.keys(profile.hardware).join(', ') || 'none that this repository knows';
    return `${model} does not fit ${hardware}: its profile names ${fitting}.`;
  }
  const refused = profileFlags({ profile, hardware })
    .map(({ flag }) => ({ name: flag.name, why: profileFlagFault(flag.name) }))
    .find(({ why }) => why !== null);
  return refused ? `The profile may not set ${refused.name} for ${hardware}: ${refused.why}` : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
