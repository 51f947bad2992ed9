/** Bodies at the fleet's doors: a limit on their size, then one schema each. */
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { z } from 'zod';
import { refuse } from './control-error.ts';

/** Middleware: 413 before anything is parsed. */
export function atMost(bytes: number) {
  return bodyLimit({ maxSize: bytes, onError: (c) => refuse(c, 'body_too_large') });
}

/** @returns the parsed body, or the refusal that names the first field at fault */
export async function parseBody<Schema extends z.ZodType>(
  c: Context,
  schema: Schema,
): Promise<z.infer<Schema> | Response> {
  let json: unknown;
  try {
    json = JSON.parse(await c.req.text());
  } catch {
    return refuse(c, 'body_invalid', { detail: 'it is not JSON.' });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [fault] = result.error.issues;
  const param = fault?.path.join('.') || undefined;
  return refuse(c, 'body_invalid', {
    param,
    detail: `${param ?? 'the whole'}: ${fault?.message ?? 'wrong'}.`,
  });
}
