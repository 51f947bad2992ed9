/** Schemas that the dialects' bodies share: fields that mean the same everywhere, with their error messages. */
import * as z from 'zod';
import type { GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';
import type { ChatRequest } from './chat-request.ts';

/** The limit on completion tokens per choice, reasoning included. A model may allow fewer. */
export const TokenLimit = z.int().min(1).max(65_536);
export const ModelName = z.string().min(1).max(256);
export const Temperature = z.number().min(0).max(2);
export const TopP = z.number().gt(0).max(1);
/**
 * An object that is passed on unchanged, such as a JSON schema or a tool choice. Its nesting is limited when the body is
 * read (worker/http/read-body.ts).
 */
export const PassedOn = z.record(z.string(), z.unknown());
export const ToolName = z
  .string()
  .regex(/^[\w-]{1,64}$/, 'must be 1 to 64 letters, digits, underscores or dashes');
/** Each choice is a generation of its own; all of them run, and their costs are held, at the same time. */
export const CHOICES_MAX = 8;
export const Penalty = z.number().min(-2).max(2);
export const STOPS_MAX = 16;
/** One stop sequence or several. */
export const Stops = z
  .union([z.string(), z.array(z.string()).max(STOPS_MAX)], {
    error: `must be a string or an array of at most ${STOPS_MAX} strings`,
  })
  .transform((stop) => (typeof stop === 'string' ? [stop] : stop));
export const TOOLS_MAX = 128;
export const MESSAGES_MAX = 10_000;

/**
 * Serializes the fields that are rendered into the prompt. They may be long, so they are serialized once, measured, and
 * sent to the node as they are.
 */
export function rendered(
  fields: Pick<GenerateRequest, 'messages' | 'prompt' | 'tools'>,
): Pick<ChatRequest, 'rendered' | 'contentBytes'> {
  const members = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, JSON.stringify(value)] as const],
  );
  const contentBytes = members.reduce((bytes, [, text]) => bytes + utf8.encode(text).byteLength, 0);
  return { rendered: members.map(([name, text]) => `"${name}":${text}`).join(','), contentBytes };
}

const utf8 = new TextEncoder();
