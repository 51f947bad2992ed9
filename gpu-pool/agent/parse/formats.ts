/**
 * The formats of models' text that the agent takes apart itself, by SGLang's names of its parsers. With any other name the
 * engine's own parser does it, whose result depends on how the text was cut.
 */
import { hasThinkTags, type THINK_TAG_PARSERS } from '../../protocol/constants.ts';
import { ArrayCalls } from './array-calls.ts';
import { FUNCTION_CALL, JSON_CALL, KIMI_CALLS, NAMED_CALL } from './call-start.ts';
import { DeepSeekCalls } from './deepseek-calls.ts';
import { DsmlCalls } from './dsml-calls.ts';
import { functionCalls } from './function-calls.ts';
import { JsonCalls } from './json-calls.ts';
import { KimiCalls } from './kimi-calls.ts';
import { namedCalls } from './named-calls.ts';
import type { Parser } from './piece.ts';
import { TaggedCalls } from './tagged-calls.ts';
import type { CallStart } from './thought.ts';
import type { ToolDefinition } from './tool-schema.ts';

const REASONING: Record<(typeof THINK_TAG_PARSERS)[number], { endsAtCalls: boolean }> = {
  'deepseek-r1': { endsAtCalls: false },
  'deepseek-v3': { endsAtCalls: false },
  qwen3: { endsAtCalls: true },
  'qwen3-thinking': { endsAtCalls: true },
  glm45: { endsAtCalls: true },
  kimi_k2: { endsAtCalls: true },
};

interface CallFormat {
  create(options: { tools: readonly ToolDefinition[]; priorCalls: number }): Parser;
  /** Null: the model never calls a tool inside a thought. */
  start: CallStart | null;
}

const QWEN: CallFormat = { create: () => new JsonCalls(), start: JSON_CALL };

/** Tool-call parsers. */
const CALLS: Record<string, CallFormat | undefined> = {
  deepseekv3: { create: () => new DeepSeekCalls({ fenced: true }), start: null },
  deepseekv31: { create: () => new DeepSeekCalls({ fenced: false }), start: null },
  deepseekv32: { create: () => new DsmlCalls(), start: null },
  qwen: QWEN,
  qwen25: QWEN,
  hermes: QWEN,
  qwen3_coder: {
    create: ({ tools }) => new TaggedCalls(FUNCTION_CALL, functionCalls(tools)),
    start: FUNCTION_CALL,
  },
  glm45: {
    create: ({ tools }) => new TaggedCalls(NAMED_CALL, namedCalls(tools)),
    start: NAMED_CALL,
  },
  kimi_k2: { create: (options) => new KimiCalls(options), start: KIMI_CALLS },
};

/** Calls that a grammar makes the model write as a JSON list, whatever its own format. */
const LIST: CallFormat = { create: () => new ArrayCalls(), start: null };

/** The names of an engine's parsers; null: it has none. */
export interface ParserNames {
  reasoning: string | null;
  tools: string | null;
}

export function knowsCalls(name: string | null): name is string {
  return name !== null && CALLS[name] !== undefined;
}

/** The parsers of an engine, by flag, that the agent has none of its own for. */
export function leftToEngine({ reasoning, tools }: ParserNames): string[] {
  return [
    hasThinkTags(reasoning) ? [] : `--reasoning-parser ${reasoning}`,
    tools === null || knowsCalls(tools) ? [] : `--tool-call-parser ${tools}`,
  ].flat();
}

/** Models whose text begins inside a thought, whatever the request says. */
export function alwaysThinks(reasoning: string | null): boolean {
  return reasoning === 'deepseek-r1' || reasoning === 'qwen3-thinking';
}

export function callFormat(name: string, { list }: { list: boolean }): CallFormat | undefined {
  return list ? LIST : CALLS[name];
}

/** How a call begins inside a thought of a model with these parsers. */
export function callStart({ reasoning, tools }: ParserNames): CallStart | null {
  if (reasoning === null || tools === null) return null;
  if (!Object.hasOwn(REASONING, reasoning) || !REASONING[reasoning as keyof typeof REASONING].endsAtCalls)
    return null;
  return CALLS[tools]?.start ?? null;
}
