/**
 * A dialect that gets bodies in their plainest form: without nulls, and with text for every part that no model here can
 * read. Its own schema then needs to know neither.
 */
import type * as z from 'zod';
import { joinNames } from '../../domain/unread-fields.ts';
import { withoutNulls } from '../../domain/without-nulls.ts';
import type { Dialect } from './dialect.ts';
import { type PartsOf, readableBody } from './readable-body.ts';

/** @param options.parts null: a body has no messages */
export function readableDialect(
  dialect: Dialect,
  { schema, parts }: { schema: z.ZodType; parts: PartsOf | null },
): Dialect {
  const stripped = withoutNulls(schema);
  return {
    ...dialect,
    read(given, headers) {
      const body = stripped(given);
      if (parts === null) return dialect.read(body, headers);
      const readable = readableBody(body, parts);
      if (!readable.ok) return readable;
      const read = dialect.read(readable.body, headers);
      if (!read.ok || readable.leftOut.length === 0) return read;
      const { request } = read.dialectRequest;
      const ignored = joinNames(request.ignored, readable.leftOut);
      return { ok: true, dialectRequest: { ...read.dialectRequest, request: { ...request, ignored } } };
    },
  };
}
