/** Fields of request bodies, read by their schemas, and the refusal that names the first one that is wrong. */
import * as z from 'zod';
import type { ApiError } from './api-error.ts';

/** A dialect's fields and the session that the client names, or what is wrong with the first that is wrong. */
export function readFields<Fields>(
  schema: z.ZodType<Fields>,
  body: Record<string, unknown>,
  headers: Headers,
): { ok: true; fields: Fields; session: string | null } | { ok: false; refusal: ApiError } {
  const parsed = schema.safeParse(body);
  if (!parsed.success) return { ok: false, refusal: invalidField(parsed.error.issues[0]!) };
  const session = SessionHeader.safeParse({ [SESSION_HEADER]: headers.get(SESSION_HEADER) });
  if (!session.success) return { ok: false, refusal: invalidField(session.error.issues[0]!) };
  return { ok: true, fields: parsed.data, session: session.data[SESSION_HEADER] };
}

/** The client's own pairs, said back to it; as OpenAI bounds them. */
export const Metadata = z
  .record(z.string().max(64), z.string().max(512))
  .refine((pairs) => Object.keys(pairs).length <= 16, 'must have at most 16 pairs');

/** Names the field as clients write it: `messages[0].content`. */
function invalidField(issue: z.core.$ZodIssue): ApiError {
  const param = issue.path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? part : `.${String(part)}`))
    .join('');
  return {
    reason: 'invalid_field',
    param: param || null,
    message: `\`${param}\`: ${lowerFirst(issue.message)}.`,
  };
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** The same by a header, for clients that cannot add a field. */
const SESSION_HEADER = 'x-session-id';

/** OpenAI takes 64 characters and refuses more; clients that join two UUIDs meet no refusal here. */
export const SessionKey = z.string().min(1).max(256);

const SessionHeader = z.object({ [SESSION_HEADER]: SessionKey.nullable() });
