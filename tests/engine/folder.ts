/** Paths of the installed engines, their weights and their keys. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The releases that are held against the emulator and against what the agent expects; the newest is recommended. */
export const RELEASES = ['0.5.20', '0.5.23'] as const;
export type Release = (typeof RELEASES)[number];
export const RECOMMENDED: Release = '0.5.23';

/** Dense with grouped-query attention, or DeepSeek's own: latent attention and a mixture of experts. */
export const ARCHITECTURES = ['qwen2', 'deepseek_v3'] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

/** The name under which the made weights are served: an engine reports the path that it was given. */
export const MODEL_PATH = 'deepseek-ai/DeepSeek-R1-0528';
export const WEIGHT_VERSION = 'tiny-1';

export const HERE = fileURLToPath(new URL('.', import.meta.url));
/** Beside the installed packages: it goes when they go, and no other check looks there. */
export const DEFAULT_FOLDER = join(HERE, '../../node_modules/.cache/engine');

export function pythonOf(folder: string, release: Release): string {
  return join(folder, release, 'bin/python');
}

/** The folder in which an engine starts, so that `MODEL_PATH` leads to the weights. */
export function homeOf(folder: string, architecture: Architecture): string {
  return join(folder, 'weights', architecture);
}

/** SGLang's `--config` file with its two keys, which only its owner can read. */
export function keysOf(folder: string): string {
  return join(folder, 'keys.yaml');
}
