/** Schemas that the dialects' bodies share: fields that mean the same everywhere, with their error messages. */
import * as z from 'zod';
import type { GenerateRequest } from '../../../gpu-pool/protocol/schemas.ts';
import { wellFormedJson, withObjectArguments } from '../../domain/engine-text.ts';
import {
  grammarFault,
  STOP_BYTES_MAX,
  STOPS_MAX,
  schemaFault,
  stopFault,
  TOOLS_BOUNDS,
  utf8Length,
} from '../../domain/grammar.ts';
import { templateBytes } from '../../domain/template-bytes.ts';
import { breakTokens, plainMessage } from '../../domain/template-tokens.ts';
import { type ChatRequest, RENDERED } from './chat-request.ts';

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

/**
 * Serializes the fields of a request that `contentBytes` counts. They may be long, so they are serialized once, measured, and
 * sent to the node as they are. What a chat template renders loses its control tokens; a prompt without a template is the
 * client's own, template and all, and stop sequences are compared with the answer only.
 */
export function rendered(
  generate: Pick<GenerateRequest, (typeof RENDERED)[number]>,
): Pick<ChatRequest, 'rendered' | 'contentBytes' | 'templateBytes'> {
  const { messages, prompt, tools, response_format, stop } = generate;
  const plain = messages?.map((message) => plainMessage(withObjectArguments(message)));
  const texts: Record<(typeof RENDERED)[number], string | undefined> = {
    messages: templated(plain),
    prompt: serialized(prompt),
    tools: templated(tools),
    response_format: templated(response_format),
    stop: serialized(stop),
  };
  const members = RENDERED.flatMap((name) =>
    texts[name] === undefined ? [] : [[name, texts[name]] as const],
  );
  return {
    rendered: members.map(([name, text]) => `"${name}":${text}`).join(','),
    contentBytes: members.reduce((bytes, [, text]) => bytes + utf8Length(text), 0),
    templateBytes: templateBytes(plain ?? [], { count: tools?.length ?? 0, json: texts.tools ?? '' }),
  };
}

function templated(value: object | undefined): string | undefined {
  const json = serialized(value);
  return json && breakTokens(json);
}

function serialized(value: object | string | undefined): string | undefined {
  return value === undefined ? undefined : wellFormedJson(JSON.stringify(value));
}
