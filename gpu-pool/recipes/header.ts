/** The first comment of what is generated. */
import { MACHINES, type Machine } from './machine.ts';
import type { Recipe } from './recipe.ts';

/** One line: what it is. */
export function title({ model, hardware, rank }: Recipe): string {
  const { hosts }: Machine = MACHINES[hardware];
  const host = hosts === 1 ? '' : `, rank ${rank} of ${hosts}`;
  return `# Tollgate node: ${model} on ${hardware}${host}. Made by \`npm run recipe\`; yours to change.`;
}

/** And what it needs, `tools` besides drivers and network. */
export function header(recipe: Recipe, { tools }: { tools: string }): string {
  const { needs }: Machine = MACHINES[recipe.hardware];
  return [title(recipe), '#', ...[...needs, tools].map((need) => `# Needs ${need}`), '#'].join('\n');
}
