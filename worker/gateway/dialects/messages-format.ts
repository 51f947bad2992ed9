/**
 * Structured outputs of Anthropic's Messages API: the answer's text is held to a JSON Schema, as it is with
 * `response_format` in chat (https://platform.claude.com/docs/en/build-with-claude/structured-outputs).
 */
import * as z from 'zod';
import type { GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';
import type { ApiError } from '../../http/api-error.ts';
import { FORMAT_NAME, FormatSchema } from './fields.ts';
import { REASONING_FIELDS } from './reasoning-fields.ts';

export const OutputFormat = z.object({
  type: z.literal('json_schema', { error: 'must be "json_schema"' }),
  schema: FormatSchema,
});

/** Beside the effort, which every dialect reads. */
export const OutputConfig = REASONING_FIELDS.output_config
  .unwrap()
  .unwrap()
  .extend({ format: OutputFormat.nullish() });

interface Fields {
  readonly output_config?: z.infer<typeof OutputConfig> | null | undefined;
  readonly output_format?: z.infer<typeof OutputFormat> | null | undefined;
}

type ReadFormat =
  | { ok: true; responseFormat: GenerateRequest['response_format'] }
  | { ok: false; error: ApiError };

/** The format under either of its names. Both at once are refused, as Anthropic's own libraries do. */
export function readOutputFormat({ output_config, output_format }: Fields): ReadFormat {
  if (output_config?.format && output_format) {
    const message = '`output_format` is the deprecated name of `output_config.format`. Send one of them.';
    return { ok: false, error: { reason: 'invalid_field', param: 'output_format', message } };
  }
  const format = output_config?.format ?? output_format;
  if (!format) return { ok: true, responseFormat: undefined };
  const { type, schema } = format;
  return { ok: true, responseFormat: { type, json_schema: { name: FORMAT_NAME, schema, strict: true } } };
}
