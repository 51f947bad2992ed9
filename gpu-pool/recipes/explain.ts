/**
 * `--explain`: every argument of the engine with its reason and source, and the ones that are left out on purpose.
 */
import { flagsOf, LEFT_OUT } from './flags.ts';
import { MACHINES, type Machine } from './machine.ts';
import { profileEnvironment } from './profile-flags.ts';
import type { Recipe } from './recipe.ts';

export function explain(recipe: Recipe): string {
  const machine: Machine = MACHINES[recipe.hardware];
  const entries = [
    ...[...machine.environment, ...profileEnvironment(recipe)].map(({ name, value, why, source }) =>
      entry(`${name}=${value}`, why, source),
    ),
    ...flagsOf(recipe).map(({ flag, value }) => {
      const shown = flag.secret ? ' (a random key)' : value === true ? '' : ` ${value}`;
      return entry(`${flag.name}${shown}`, flag.why, flag.source);
    }),
  ];
  const leftOut = LEFT_OUT.map(({ name, why, source }) => entry(name, why, source));
  return `${entries.join('\n')}\nLeft out on purpose\n\n${leftOut.join('\n')}`;
}

function entry(setting: string, why: string, source: string): string {
  return `${setting}\n    ${why}\n    ${source}\n`;
}
