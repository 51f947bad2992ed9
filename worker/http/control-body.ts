/** Request bodies of the fleet's and the operator's routes: a size limit first, then one schema each. */
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { z } from 'zod';
import { fieldMessage } from '../domain/field-message.ts';
import { quickParse } from '../lib/quick-parse.ts';
import { refuse } from './control-error.ts';

/** Middleware that answers 413 to a larger body before anything is parsed. */
export function limitBody(bytes: number) {
  return bodyLimit({ maxSize: bytes, onError: (c) => refuse(c, 'body_too_large') });
}

/** @returns the parsed body, or an error response that names the first invalid field */
export async function parseBody<Schema extends z.ZodType>(
  c: Context,
  schema: Schema,
): Promise<z.infer<Schema> | Response> {
  let json: unknown;
  try {
    json = JSON.parse(await c.req.text());
  } catch {
    return refuse(c, 'body_invalid', { detail: 'It is not valid JSON.' });
  }
  const result = quickParse(schema as z.ZodType<z.infer<Schema>>, json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const param = issue?.path.join('.') || undefined;
  return refuse(c, 'body_invalid', {
    param,
    detail: param === undefined ? `${issue?.message}.` : fieldMessage(param, issue!.message),
  });
}
