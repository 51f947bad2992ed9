/** Prints every flag of SGLang that a recipe or a shipped model's profile sets, and those that recipes leave out, as JSON. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ModelProfile } from '../../../gpu-pool/protocol/model-profile.ts';
import { FLAGS, LEFT_OUT } from '../../../gpu-pool/recipes/flags.ts';

export function allFlags(): string[] {
  const folder = fileURLToPath(new URL('../../../gpu-pool/models/', import.meta.url));
  const profiles = readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => ModelProfile.parse(JSON.parse(readFileSync(`${folder}${name}`, 'utf8'))));
  const ofProfiles = profiles.flatMap(({ hardware }) =>
    Object.values(hardware).flatMap((flags) => Object.keys(flags ?? {})),
  );
  const ofRecipes: string[] = [...FLAGS, ...LEFT_OUT].map(({ name }) => name);
  return [...new Set([...ofRecipes, ...ofProfiles])].sort();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(JSON.stringify(allFlags()));
