/** Schemas that the dialects' bodies share: fields that mean the same everywhere, with their error messages. */
import * as z from 'zod';
import type { GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';
import {
  grammarFault,
  STOP_BYTES_MAX,
  STOPS_MAX,
  schemaFault,
  stopFault,
  TOOLS_BOUNDS,
} from '../../domain/grammar.ts';

/** The limit on completion tokens per choice, reasoning included. A model may allow fewer. */
export const TokenLimit = z.int().min(1).max(65_536);
export const ModelName = z.string().min(1).max(256);
export const Temperature = z.number().min(0).max(2);
export const TopP = z.number().gt(0).max(1);
/** A JSON Schema, which is passed on unchanged. */
export const Schema = z.record(z.string(), z.unknown()).superRefine(bounded(schemaFault));
export const ToolName = z
  .string()
  .regex(/^[\w-]{1,64}$/, 'must be 1 to 64 letters, digits, underscores or dashes');
/** Each choice is a generation of its own; all of them run, and their costs are held, at the same time. */
export const CHOICES_MAX = 8;
export const Penalty = z.number().min(-2).max(2);
/** The samplers of open-weight engines that no provider's own format has; every dialect reads them under these names. */
export const SAMPLERS = {
  /** 0 and -1: the whole vocabulary. No vocabulary has a million tokens. */
  top_k: z.int().min(-1).max(1_000_000).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().gt(0).max(2).nullish(),
};
export function samplers(
  fields: {
    [Name in keyof typeof SAMPLERS]?: number | null | undefined;
  },
): Pick<GenerateRequest, keyof typeof SAMPLERS> {
  const { top_k, min_p, repetition_penalty } = fields;
  return {
    top_k: top_k && top_k > 0 ? top_k : undefined,
    min_p: min_p ?? undefined,
    repetition_penalty: repetition_penalty ?? undefined,
  };
}
const STOPS = `at most ${STOPS_MAX} strings, each at most ${STOP_BYTES_MAX} bytes`;
const Stop = z.string().superRefine(bounded(stopFault));
export const StopList = z.array(Stop).max(STOPS_MAX, `must have ${STOPS}`);
/** One stop sequence or several. */
export const Stops = z
  .union([Stop, StopList], { error: `must be a string or an array of ${STOPS}` })
  .transform((stop) => (typeof stop === 'string' ? [stop] : stop));
const TOOLS_MAX = 128;
/** Each tool is rendered into the prompt, checked by the engine, and compiled to a grammar when it has to be called. */
export const toolList = <Tool extends z.ZodType>(tool: Tool) =>
  z
    .array(tool)
    .max(TOOLS_MAX)
    .superRefine(bounded((tools) => grammarFault(tools, TOOLS_BOUNDS)));
export const MESSAGES_MAX = 10_000;

/** A check by a rule that answers with the rest of a sentence; null: nothing is wrong. */
function bounded<T>(fault: (value: T) => string | null) {
  return (value: T, context: z.RefinementCtx) => {
    const message = fault(value);
    if (message !== null) context.addIssue({ code: 'custom', message });
  };
}
