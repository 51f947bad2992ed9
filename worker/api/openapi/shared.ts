/** Pieces that the paths of several resources have in common. */
import * as z from 'zod';
import type { ErrorStatus } from './operation.ts';

export const TAGS = {
  answers: 'Answers',
  models: 'Models',
  account: 'Account',
  keys: 'Keys and tokens',
  batches: 'Files and batches',
  service: 'Service',
} as const;

/** The model of every example. */
export const MODEL = 'deepseek-reasoner';

/** Errors of a route that needs a key and nothing else. */
export const AUTH_ERRORS = [401, 403] as const satisfies ErrorStatus[];

/** The path parameter `id`. */
export function idParameter(description: string) {
  return z.object({ id: z.string().meta({ description }) });
}
