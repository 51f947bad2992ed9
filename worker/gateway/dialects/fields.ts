/** Schemas that the dialects' bodies share: fields that mean the same everywhere, with their error messages. */
import * as z from 'zod';
import { schemaFault } from '../../../gpu-pool/protocol/json-schema/index.ts';
import { type GenerateRequest, LogitBias } from '../../../gpu-pool/protocol/schemas.ts';
import {
  repetitionFault,
  SCHEMA_BOUNDS,
  SOUND_TEXTS_LENGTH_MAX,
  STOP_BYTES_MAX,
  STOPS_MAX,
  schemaSizeFault,
  sizeFault,
  stopFault,
  TOOLS_BOUNDS,
  toolSizeFault,
} from '../../domain/grammar.ts';
import { RecentTexts } from '../../lib/recent-texts.ts';
import { TOOL_NAME_LENGTH_MAX } from './tools/declared.ts';

/**
 * The limit on completion tokens per choice, reasoning included. A model may allow fewer. 0 reads the prompt into the cache
 * and nothing else, as Anthropic's API does.
 */
export const TokenLimit = z.int().min(0).max(65_536);
export const ModelName = z.string().min(1).max(256);
export const Temperature = z.number().min(0).max(2);
export const TopP = z.number().gt(0).max(1);
const SchemaObject = z.record(z.string(), z.unknown());
/** The JSON Schema of an answer, which is passed on unchanged. The error names the keyword that the engine would refuse. */
export const FormatSchema = SchemaObject.superRefine(bounded(schemaSizeFault)).superRefine(
  (schema, context) => {
    // One that is too large is not walked.
    if (context.issues.length === 0) addSchemaIssue(context, { schema, of: 'format', at: [] });
  },
);
/** The name of an answer's format that its client has given none. SGLang refuses a format without, and does nothing with it. */
export const FORMAT_NAME = 'answer';
/** The JSON Schema of a tool's arguments; `toolList` checks more of it, which depends on the tool. */
export const ToolSchema = z.preprocess(withoutNullLists, SchemaObject.superRefine(bounded(toolSizeFault)));
export const TOOL_NAME = new RegExp(`^[\\w-]{1,${TOOL_NAME_LENGTH_MAX}}$`);
export const ToolName = z
  .string()
  .regex(TOOL_NAME, `must be 1 to ${TOOL_NAME_LENGTH_MAX} letters, digits, underscores or dashes`);
/** Each choice is a generation of its own; all of them run, and their costs are held, at the same time. */
export const CHOICES_MAX = 8;
export const Penalty = z.number().min(-2).max(2);
/** The samplers of open-weight engines that no provider's own format has; every dialect reads them under these names. */
export const SAMPLERS = {
  /** 0 and -1: the whole vocabulary. No vocabulary has a million tokens. */
  top_k: z.int().min(-1).max(1_000_000).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().gt(0).max(2).nullish(),
  /** By token id of the model's own vocabulary. */
  logit_bias: LogitBias.nullish(),
  /** The fewest tokens of each choice; that it is at most `max_tokens` is checked once the model is known. */
  min_tokens: z.int().min(0).max(65_536).nullish(),
};
type Samplers = { [Name in keyof typeof SAMPLERS]?: z.infer<(typeof SAMPLERS)[Name]> };
export function samplers(fields: Samplers): Pick<GenerateRequest, keyof typeof SAMPLERS> {
  const { top_k, min_p, repetition_penalty, logit_bias, min_tokens } = fields;
  return {
    top_k: top_k && top_k > 0 ? top_k : undefined,
    min_p: min_p ?? undefined,
    repetition_penalty: repetition_penalty ?? undefined,
    logit_bias: logit_bias && Object.keys(logit_bias).length > 0 ? logit_bias : undefined,
    min_tokens: min_tokens || undefined,
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
/** The part of a tool that the engine checks: its schema, whether calls must fit it, and the schema's path in the tool. */
export interface ToolSchemaAt {
  readonly schema: unknown;
  readonly strict: boolean;
  readonly at: readonly (string | number)[];
}
/**
 * Each tool is rendered into the prompt, its schema is checked by the engine, and compiled to a grammar when the tool is strict.
 * @param schemas one for each tool that the model gets of the declaration: several of a namespace, none where it is set aside
 */
export function toolList<Tool extends z.ZodType>(
  tool: Tool,
  schemas: (tool: z.output<Tool>) => readonly ToolSchemaAt[],
) {
  // An agent sends the same tools with every turn.
  const sound = new RecentTexts(SOUND_TEXTS_LENGTH_MAX);
  return z
    .array(tool)
    .max(TOOLS_MAX)
    .superRefine((tools, context) => {
      const json = JSON.stringify(tools);
      if (sound.has(json)) return;
      bounded((all: unknown) => sizeFault(all, TOOLS_BOUNDS))(tools, context);
      const all = tools.flatMap((each, index) =>
        schemas(each).map(({ at, ...schema }) => ({ ...schema, path: [index, ...at] })),
      );
      if (all.length > TOOLS_MAX) {
        const message = `must have at most ${TOOLS_MAX} tools, those of namespaces included`;
        context.addIssue({ code: 'custom', message });
      }
      const compiled: unknown[] = [];
      for (const { schema, strict, path } of all) {
        if (context.issues.length > 0) return;
        addSchemaIssue(context, { schema, of: strict ? 'strict tool' : 'tool', at: path });
        if (!strict) continue;
        compiled.push(schema);
        bounded((one: unknown) => repetitionFault(one, SCHEMA_BOUNDS), path)(schema, context);
      }
      bounded((all: unknown) => repetitionFault(all, TOOLS_BOUNDS))(compiled, context);
      if (context.issues.length === 0) sound.add(json);
    });
}
export const MESSAGES_MAX = 10_000;

function addSchemaIssue(
  context: z.RefinementCtx,
  options: { schema: unknown; of: Parameters<typeof schemaFault>[1]; at: readonly (string | number)[] },
): void {
  const fault = schemaFault(options.schema, options.of);
  if (fault === null) return;
  const path = fault.path.map((step) => (typeof step === 'string' ? shortened(step) : step));
  context.addIssue({ code: 'custom', message: fault.message, path: [...options.at, ...path] });
}

/** Names of properties are the client's own and may be long; an error repeats at most this much of each. */
const STEP_LENGTH_MAX = 64;
function shortened(step: string): string {
  const characters = [...step];
  return characters.length <= STEP_LENGTH_MAX ? step : `${characters.slice(0, STEP_LENGTH_MAX).join('')}…`;
}

/** Anthropic's types, and SDKs with typed models, let null stand for a schema without properties or required ones. */
function withoutNullLists(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return schema;
  const { properties, required, ...rest } = schema as Record<string, unknown>;
  if (properties !== null && required !== null) return schema;
  return {
    ...rest,
    ...(properties === null || properties === undefined ? {} : { properties }),
    ...(required === null || required === undefined ? {} : { required }),
  };
}

/** A check by a rule that answers with the rest of a sentence; null: nothing is wrong. */
function bounded<T>(fault: (value: T) => string | null, path: readonly (string | number)[] = []) {
  return (value: T, context: z.RefinementCtx) => {
    const message = fault(value);
    if (message !== null) context.addIssue({ code: 'custom', message, path: [...path] });
  };
}
