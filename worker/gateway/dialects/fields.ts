/** What the dialects' bodies have in common: fields that mean the same everywhere, and what is said of a wrong one. */
import * as z from 'zod';
import type { GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';
import type { ChatRequest } from './chat-request.ts';

/** Most completion tokens of a choice, reasoning included; a model may allow fewer. */
export const TokenLimit = z.int().min(1).max(65_536);
export const ModelName = z.string().min(1).max(256);
export const Temperature = z.number().min(0).max(2);
export const TopP = z.number().gt(0).max(1);
/** A JSON schema, a tool choice: passed on as it is. How deep it may nest is settled by the reader of the body. */
export const PassedOn = z.record(z.string(), z.unknown());
export const ToolName = z
  .string()
  .regex(/^[\w-]{1,64}$/, 'must be 1 to 64 letters, digits, underscores or dashes');
/** Each is a generation of its own, held and paid for at once. */
export const CHOICES_MAX = 8;
export const Penalty = z.number().min(-2).max(2);
export const STOPS_MAX = 16;
/** One text or several. */
export const Stops = z
  .union([z.string(), z.array(z.string()).max(STOPS_MAX)], {
    error: `must be a string or an array of at most ${STOPS_MAX} strings`,
  })
  .transform((stop) => (typeof stop === 'string' ? [stop] : stop));
export const TOOLS_MAX = 128;
export const MESSAGES_MAX = 10_000;

/** What is rendered into the prompt, as JSON. It may be long: it is written once, measured, and sent to the node as it is. */
export function rendered(
  fields: Pick<GenerateRequest, 'messages' | 'prompt' | 'tools'>,
): Pick<ChatRequest, 'rendered' | 'contentBytes'> {
  const texts = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, JSON.stringify(value)] as const],
  );
  const contentBytes = texts.reduce((bytes, [, text]) => bytes + utf8.encode(text).byteLength, 0);
  return { rendered: texts.map(([name, text]) => `"${name}":${text}`).join(','), contentBytes };
}

const utf8 = new TextEncoder();
