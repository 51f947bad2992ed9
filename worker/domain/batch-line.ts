/**
 * Parses one line of a batch's input: `{"custom_id", "method": "POST",
 * "url", "body"}`, the format of OpenAI's Batch API.
 */
import * as z from 'zod';
import { fieldMessage } from './field-message.ts';
import { DEPTH_MAX, depthOf } from './json-depth.ts';

/**
 * The most lines of a batch. It is OpenAI's limit; one Durable Object handles
 * the whole batch and lists this many in a second.
 */
export const LINES_MAX = 50_000;

export interface BatchFault {
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
  /** Line number in the input, from 1; null: the fault is of the whole file. */
  readonly line: number | null;
}

export interface BatchLine {
  /** The customer's own id, by which they find the answer in the output. */
  readonly customId: string;
  readonly body: Record<string, unknown>;
}

/** A parsed line. With a fault, `customId` is null when it could not be read either. */
export type ParsedLine =
  | { ok: true; line: BatchLine }
  | { ok: false; customId: string | null; fault: BatchFault };

const CustomId = z
  .string()
  .min(1)
  .max(512)
  // half of a surrogate pair has no UTF-8, and would make the file of answers unreadable as a whole
  .refine((id) => id.isWellFormed(), 'must be well-formed Unicode, without halves of surrogate pairs');

const Line = z.object({
  custom_id: CustomId,
  method: z.literal('POST', { error: 'must be "POST"' }),
  url: z.string(),
  body: z.record(z.string(), z.unknown()),
});

/**
 * Parses a line and checks that it fits the batch.
 * @param bytes UTF-8 of one line without its line end
 * @param number line number in the input, from 1
 * @param endpoint URL path that the batch was created for; every line must name it
 */
export function parseLine(bytes: Uint8Array, number: number, endpoint: string): ParsedLine {
  const fault = (code: string, message: string, param: string | null = null) => ({
    code,
    message,
    param,
    line: number,
  });
  let json: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
    // The line itself is one level around the body.
    if (depthOf(text) > DEPTH_MAX + 1) {
      const message = `\`body\` is nested more than ${DEPTH_MAX} levels deep. Send a flatter one.`;
      return { ok: false, customId: null, fault: fault('invalid_json', message, 'body') };
    }
    json = JSON.parse(text);
  } catch {
    return { ok: false, customId: null, fault: fault('invalid_json', 'The line is not valid UTF-8 JSON.') };
  }
  const parsed = Line.safeParse(json);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    const param = path.join('.') || null;
    const text = param === null ? 'The line must be a JSON object.' : fieldMessage(param, message);
    const customId = CustomId.safeParse((json as { custom_id?: unknown } | null)?.custom_id).data ?? null;
    return { ok: false, customId, fault: fault('invalid_line', text, param) };
  }
  const { custom_id: customId, url, body } = parsed.data;
  if (url !== endpoint) {
    const message = `\`url\` must be ${endpoint}, the batch’s endpoint.`;
    return { ok: false, customId, fault: fault('mismatched_url', message, 'url') };
  }
  if (body.stream === true) {
    const message = '`body.stream` must be absent or false: batches do not stream.';
    return { ok: false, customId, fault: fault('invalid_line', message, 'body.stream') };
  }
  return { ok: true, line: { customId, body } };
}
