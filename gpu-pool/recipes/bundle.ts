/** The files of one host, in any format. */
import { composeFiles } from './compose.ts';
import type { Format, Recipe } from './recipe.ts';
import type { RecipeFile } from './recipe-file.ts';
import { shellFiles } from './shell.ts';
import { systemdFiles } from './systemd.ts';

const WRITERS = {
  shell: shellFiles,
  compose: composeFiles,
  systemd: systemdFiles,
} satisfies Record<Format, (recipe: Recipe) => RecipeFile[]>;

export function bundle(recipe: Recipe, format: Format): RecipeFile[] {
  return WRITERS[format](recipe);
}
