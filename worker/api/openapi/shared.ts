/** Pieces that the paths of several resources have in common. */
import * as z from 'zod';
import type { ErrorStatus } from './operation.ts';

export const TAGS = {
  answers: 'Answers',
  stored: 'Stored responses',
  models: 'Models',
  account: 'Account',
  keys: 'Keys and tokens',
  batches: 'Files and batches',
  service: 'Service',
} as const;

/** Errors of a route that needs a key and reads: 400 when two headers hold different keys. */
export const READ_ERRORS = [400, 401, 403] as const satisfies ErrorStatus[];
/** Errors of a route whose calls are counted under a rate limit: every write, and costly reads. */
export const COUNTED_ERRORS = [...READ_ERRORS, 429] as const satisfies ErrorStatus[];
/** Errors of a write with a JSON body. */
export const BODY_ERRORS = [...COUNTED_ERRORS, 413, 415] as const satisfies ErrorStatus[];

/** The path parameter `id`. */
export function idParameter(description: string) {
  return z.object({ id: z.string().meta({ description }) });
}
