/** The engine's flags that a model's profile sets for one kind of hardware. */
import type { SetFlag } from './flag.ts';
import type { Recipe } from './recipe.ts';

export function profileFlags({ profile, hardware }: Pick<Recipe, 'profile' | 'hardware'>): SetFlag[] {
  return Object.entries(profile.hardware[hardware] ?? {}).map(([name, value]) => ({
    flag: {
      name: name as `--${string}`,
      value,
      why: `Set by the profile of ${profile.repository} for this hardware.`,
      source: profile.sources[0]?.source ?? `profile: ${profile.repository}`,
    },
    value,
  }));
}

/** An environment variable of the engine. */
export interface Setting {
  name: string;
  value: string;
  why: string;
  source: string;
}

/**
 * More than any thought has. The variable has to be set for the engine to heed a request's own budget; this value bounds
 * none by itself.
 */
const THINK_TOKENS_MAX = 10_000_000;

/** The engine's environment that follows from the profile's flags. */
export function profileEnvironment(recipe: Pick<Recipe, 'profile' | 'hardware'>): Setting[] {
  const isStrict = profileFlags(recipe).some(({ flag }) => flag.name === '--enable-strict-thinking');
  if (!isStrict) return [];
  return [
    {
      name: 'SGLANG_MAX_THINK_TOKENS',
      value: String(THINK_TOKENS_MAX),
      why: "With --enable-strict-thinking, lets a request's own budget end its thought.",
      source: 'https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/constrained',
    },
  ];
}
