/**
 * The model profiles that are shipped, `gpu-pool/models/<model id>.json`. Node only: the Worker has what it needs of them in
 * D1 and in its bundle.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ModelProfile } from './model-profile.ts';

const FOLDER = new URL('../models/', import.meta.url);

export const SHIPPED_MODELS: readonly string[] = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.json'))
  .map((name) => name.slice(0, -'.json'.length))
  .sort();

/** The file of a shipped model's profile. */
export function profileFile(modelId: string): string {
  return fileURLToPath(new URL(`${modelId}.json`, FOLDER));
}

/** The profile that is shipped for a model; undefined: none is. */
export function shippedProfile(modelId: string): ModelProfile | undefined {
  if (!SHIPPED_MODELS.includes(modelId)) return undefined;
  return ModelProfile.parse(JSON.parse(readFileSync(profileFile(modelId), 'utf8')));
}
