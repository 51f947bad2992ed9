/** The comment at the top of each generated file. */
import { MACHINES, type Machine } from './machine.ts';
import type { Recipe } from './recipe.ts';

/** One line that names model, hardware and rank. */
export function title({ model, hardware, rank }: Recipe): string {
  const { hosts }: Machine = MACHINES[hardware];
  const host = hosts === 1 ? '' : `, rank ${rank} of ${hosts}`;
  return `# Tollgate node: ${model} on ${hardware}${host}. Made by \`npm run recipe\`; yours to change.`;
}

/** The title and the prerequisites: those of the machine, and `tools`. */
export function header(recipe: Recipe, { tools }: { tools: string }): string {
  const { needs }: Machine = MACHINES[recipe.hardware];
  return [title(recipe), '#', ...[...needs, tools].map((need) => `# Needs ${need}`), '#'].join('\n');
}
