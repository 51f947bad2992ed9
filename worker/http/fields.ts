/** Parsing of request bodies by their schemas. The error of a body names its first invalid field. */
import * as z from 'zod';
import { fieldMessage } from '../domain/field-message.ts';
import { NAME_LENGTH_MAX, nameSchema } from '../domain/name.ts';
import { quickParse } from '../lib/quick-parse.ts';
import type { ApiError } from './api-error.ts';

/**
 * Reads a dialect's fields, and the session that the client names in a header. The error is that of the first invalid
 * field.
 */
export function readFields<Fields>(
  schema: z.ZodType<Fields>,
  body: Record<string, unknown>,
  headers: Headers,
): { ok: true; fields: Fields; session: string | null } | { ok: false; error: ApiError } {
  const parsed = quickParse(schema, body);
  if (!parsed.success) return { ok: false, error: invalidField(parsed.error.issues[0]!) };
  const session = quickParse(SessionHeader, { [SESSION_HEADER]: headers.get(SESSION_HEADER) });
  if (!session.success) return { ok: false, error: invalidField(session.error.issues[0]!) };
  return { ok: true, fields: parsed.data, session: session.data[SESSION_HEADER] };
}

export const HIDDEN_CHARACTERS = 'must not have control, bidirectional or zero-width characters';

/** A name, or with `max` another line of text that people see. */
export function NameText(max = NAME_LENGTH_MAX) {
  const length = `must be 1 to ${max} characters`;
  return nameSchema({ required: length, tooLong: length, hidden: HIDDEN_CHARACTERS }, max).meta({
    maxLength: max,
  });
}

/** The client's own key-value pairs, which are returned to it unchanged. The limits are OpenAI's. */
export const Metadata = z
  .record(z.string().max(64), z.string().max(512))
  .refine((pairs) => Object.keys(pairs).length <= 16, 'must have at most 16 pairs');

/** Names the field by its path as clients write it: `messages[0].content`. */
function invalidField(issue: z.core.$ZodIssue): ApiError {
  const param = issue.path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : i === 0 ? part : `.${String(part)}`))
    .join('');
  // The error of a name that a record does not take is the rule that the name breaks.
  const rule = issue.code === 'invalid_key' ? issue.issues[0] : undefined;
  const { message } = rule ?? issue;
  return {
    reason: 'invalid_field',
    param: param || null,
    message: param ? fieldMessage(param, message) : `${message}.`,
  };
}

/** Names the session like the field `prompt_cache_key` does, for clients that cannot add a field to the body. */
const SESSION_HEADER = 'x-session-id';

/** OpenAI accepts at most 64 characters. Here 256 are accepted, so that clients may join two UUIDs. */
export const SessionKey = z.string().min(1).max(256);

const SessionHeader = z.object({ [SESSION_HEADER]: SessionKey.nullable() });
